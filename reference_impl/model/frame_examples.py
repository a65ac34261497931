"""One example of every frame, for the documentation. They are real frames: a test encodes and checks each."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from reference_impl.model.envelope import encode_frame
from reference_impl.model.frames import (
    AuthFrame,
    ClientFrame,
    DeliveredFrame,
    PongFrame,
    ReadFrame,
    ResumeFrame,
    TextFrame,
    TypingFrame,
)
from reference_impl.model.messages import MessageInfo
from reference_impl.model.server_frames import (
    AckData,
    AiResponseData,
    ConnectedData,
    DeliveredData,
    DeviceConnectedData,
    DeviceDisconnectedData,
    ErrorData,
    PingData,
    ReadData,
    ResumedData,
    ServerData,
    SystemNotificationData,
    TypingData,
    UserOfflineData,
    UserOnlineData,
    action_of,
)

_CONVERSATION = "01993a5e-7c1f-7d5e-9e0a-3b1c5d7f9a21"
_MESSAGE = "01993a60-02b4-7a6b-8d2f-5c4e6a8b0d13"
_CONNECTION = "01993a5f-41d0-7b3c-a1e5-7f9b2d4c6e80"
_NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

_CLIENT: tuple[ClientFrame, ...] = (
    TextFrame(content="Is anybody there?", client_message_id="alice-laptop-17"),
    TypingFrame(is_typing=True),
    ReadFrame(seq=42),
    DeliveredFrame(seq=42),
    ResumeFrame(last_seq=40),
    AuthFrame(token="eyJhbGciOiJIUzI1NiIs…"),  # noqa: S106 - an example
    PongFrame(timestamp=_NOON.timestamp()),
)

_SERVER: tuple[ServerData, ...] = (
    ConnectedData(
        connection_id=_CONNECTION, instance_id="instance-0", user_id="alice", seq=41, heartbeat_interval=30.0
    ),
    MessageInfo(
        id=_MESSAGE,
        conversation_id=_CONVERSATION,
        seq=42,
        sender_id="alice",
        sender_type="user",
        sender_name="Alice",
        type="text",
        content={"text": "Is anybody there?"},
        timestamp=_NOON,
        client_message_id="alice-laptop-17",
    ),
    AckData(client_message_id="alice-laptop-17", id=_MESSAGE, seq=42),
    TypingData(user_id="bob", is_typing=True),
    ReadData(user_id="bob", seq=42),
    DeliveredData(user_id="bob", seq=42),
    UserOnlineData(user_id="bob", device_id="bobs-phone", device_type="mobile"),
    UserOfflineData(user_id="bob", device_id="bobs-phone", device_type="mobile"),
    DeviceConnectedData(user_id="bob", device_id="bobs-laptop", device_type="desktop"),
    DeviceDisconnectedData(user_id="bob", device_id="bobs-laptop", device_type="desktop"),
    ResumedData(recovered=True, seq=42),
    PingData(timestamp=_NOON.timestamp(), seq=42),
    SystemNotificationData(level="info", code="maintenance", text="A restart in ten minutes."),
    AiResponseData(message_id=_MESSAGE, user_id="assistant", text="Yes, we", is_final=False),
    ErrorData(
        code="rate_limited", message="100 messages in 60 s are allowed", client_message_id="c-18", retry_after=2.5
    ),
)


def client_examples() -> dict[str, Any]:
    """``type`` → a frame as JSON values; fields that are as if left out are left out."""
    examples = {}
    for frame in _CLIENT:
        values = msgspec.json.decode(msgspec.json.encode(frame))
        defaults = {field.encode_name: field.default for field in msgspec.structs.fields(frame)}
        kept = {name: value for name, value in values.items() if name == "type" or defaults.get(name) != value}
        examples[values["type"]] = kept
    return examples


def server_examples() -> dict[str, Any]:
    """``action`` → a whole frame as JSON values."""
    return {
        action_of(data): msgspec.json.decode(encode_frame(data, conversation_id=_CONVERSATION, timestamp=_NOON).text)
        for data in _SERVER
    }
