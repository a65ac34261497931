"""What the server may send: the ``data`` of each ``action``, one class an action, and the list of them all.

``/asyncapi.json`` is made from these classes, and the text under a field is its description there.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from reference_impl.model.messages import MessageInfo
from reference_impl.model.presence import PresenceAction, PresenceChange

Seq = Annotated[int, msgspec.Meta(ge=0)]


class ConnectedData(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of every connection: you are in, and this is where the conversation stands."""

    connection_id: str
    instance_id: str
    user_id: str
    seq: Seq | None
    """Number of the conversation's last message. Null on a device-wide connection: see ``heads``."""
    heartbeat_interval: float
    """Seconds between two pings. A client that hears nothing for three of them should reconnect."""
    heads: dict[str, Seq] | UnsetType = UNSET
    """On a device-wide connection: conversation → number of its last message."""


class AckData(msgspec.Struct, frozen=True, kw_only=True):
    """Your message is stored, under this number. The same ``client_message_id`` again gets the same answer."""

    client_message_id: str | None
    id: str
    seq: Seq


class TypingData(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else has begun or ceased to type."""

    user_id: str
    is_typing: bool


class ReadData(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has read everything up to ``seq``."""

    user_id: str
    seq: Seq


class DeliveredData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to ``seq`` has reached a device of somebody."""

    user_id: str
    seq: Seq


class UserOnlineData(msgspec.Struct, frozen=True, kw_only=True):
    """A user's first device has come."""

    user_id: str
    device_id: str | None
    device_type: str | None


class UserOfflineData(msgspec.Struct, frozen=True, kw_only=True):
    """A user's last device has gone."""

    user_id: str
    device_id: str | None
    device_type: str | None


class DeviceConnectedData(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a user has come."""

    user_id: str
    device_id: str | None
    device_type: str | None


class DeviceDisconnectedData(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a user has gone; others of theirs may be there."""

    user_id: str
    device_id: str | None
    device_type: str | None


class ResumedData(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``resume`` and to ``last_seq``: messages up to ``seq`` follow."""

    recovered: bool
    """True: what follows is complete from ``last_seq`` + 1. False: a snapshot follows, which replaces what you have."""
    seq: Seq


class PingData(msgspec.Struct, frozen=True, kw_only=True):
    """Are you there? Answer with a ``pong`` that has this ``timestamp``. A client behind ``seq`` resumes."""

    timestamp: float
    seq: Seq | None
    """Number of the conversation's last message. Null on a device-wide connection: see ``heads``."""
    heads: dict[str, Seq] | UnsetType = UNSET
    """On a device-wide connection: conversation → number of its last message."""


class SystemNotificationData(msgspec.Struct, frozen=True, kw_only=True):
    """The system has something to say. It is no message: it has no number, and is not kept."""

    level: Literal["info", "warning", "error"]
    code: str
    """What it is about, for programs: ``restarting``; on a device-wide connection ``conversation_joined``,
    ``conversation_left`` and ``participants_changed``, of the conversation that the frame names."""
    text: str
    """The same for people."""
    details: dict[str, Any] | UnsetType = UNSET
    """More for programs; what is in it depends on ``code``."""


class AiResponseData(msgspec.Struct, frozen=True, kw_only=True):
    """An assistant's answer while it comes into being. When it is complete, it also comes as a message."""

    message_id: str
    """The message that asked."""
    user_id: str
    """The assistant."""
    text: str
    """All of the answer so far: each frame replaces the one before it."""
    is_final: bool
    """Nothing more follows, be it complete or failed."""
    error: str | None = None
    """Why there is no answer, for programs: ``timeout``, ``unavailable``, ``away``, ``refused``. For people there is a
    message of the assistant."""


class ErrorData(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of yours was refused. The connection stays, unless a close follows."""

    code: str
    """For programs: ``bad_json``, ``unknown_type``, ``invalid``, ``forbidden``, ``rate_limited``, ``too_large`` …"""
    message: str
    """For people."""
    client_message_id: str | UnsetType = UNSET
    """The message that was refused, where it had a name."""
    retry_after: float | UnsetType = UNSET
    """With ``rate_limited``: the seconds after which the next message is let through."""


ServerData = (
    ConnectedData
    | MessageInfo
    | AckData
    | TypingData
    | ReadData
    | DeliveredData
    | UserOnlineData
    | UserOfflineData
    | DeviceConnectedData
    | DeviceDisconnectedData
    | ResumedData
    | PingData
    | SystemNotificationData
    | AiResponseData
    | ErrorData
)

SERVER_FRAMES: dict[str, type[ServerData]] = {
    "connected": ConnectedData,
    "new_message": MessageInfo,
    "ack": AckData,
    "typing": TypingData,
    "read": ReadData,
    "delivered": DeliveredData,
    "user_online": UserOnlineData,
    "user_offline": UserOfflineData,
    "device_connected": DeviceConnectedData,
    "device_disconnected": DeviceDisconnectedData,
    "resumed": ResumedData,
    "ping": PingData,
    "system_notification": SystemNotificationData,
    "ai_response": AiResponseData,
    "error": ErrorData,
}
"""``action`` → the class of its ``data``. What is not in here is never sent."""

_ACTION_OF = {data_type: action for action, data_type in SERVER_FRAMES.items()}

PresenceData = UserOnlineData | UserOfflineData | DeviceConnectedData | DeviceDisconnectedData

_PRESENCE_DATA: dict[PresenceAction, type[PresenceData]] = {
    "user_online": UserOnlineData,
    "user_offline": UserOfflineData,
    "device_connected": DeviceConnectedData,
    "device_disconnected": DeviceDisconnectedData,
}


def action_of(data: ServerData) -> str:
    """The ``action`` of a frame with this ``data``."""
    return _ACTION_OF[type(data)]


def presence_data(change: PresenceChange) -> PresenceData:
    """What others are told of ``change``."""
    data_type = _PRESENCE_DATA[change.action]
    return data_type(user_id=change.user_id, device_id=change.device_id, device_type=change.device_type)
