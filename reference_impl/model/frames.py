"""What a client may send over a WebSocket: one class per ``type``, decoded and checked in one step.

``parse_client_frame`` is the only way in. What it returns has the right fields of the right types;
what it refuses, it refuses with an error that a client can act on.
"""

import json
from typing import Annotated, Any

import msgspec

from reference_impl.model.errors import BadJson, Invalid, UnknownType
from reference_impl.model.json_values import has_only_text

LONGEST_CLIENT_ID = 100

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class TextFrame(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A message to the conversation. Sender and time are not in it: the server knows both."""

    content: str | dict[str, Any]
    """The text; or an object with the text in ``text``."""
    client_message_id: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_CLIENT_ID)] | None = None
    """Your own name for the message. Sent again under the same name it is the same message, not a second one."""
    is_important: bool = False
    reply_to_message_id: str | None = None
    conversation_id: str | None = None
    """Needed on a device-wide connection."""


class TypingFrame(msgspec.Struct, frozen=True, tag_field="type", tag="typing"):
    """Somebody has begun or ceased to type."""

    is_typing: bool
    conversation_id: str | None = None


class ReadFrame(msgspec.Struct, frozen=True, tag_field="type", tag="read"):
    """The user has read everything up to ``seq``."""

    seq: Seq
    conversation_id: str | None = None


class DeliveredFrame(msgspec.Struct, frozen=True, tag_field="type", tag="delivered"):
    """Everything up to ``seq`` has reached this device."""

    seq: Seq
    conversation_id: str | None = None


class ResumeFrame(msgspec.Struct, frozen=True, tag_field="type", tag="resume"):
    """The client has everything up to ``last_seq`` and wants what follows."""

    last_seq: Seq
    conversation_id: str | None = None


class AuthFrame(msgspec.Struct, frozen=True, tag_field="type", tag="auth"):
    """Signs in, as the first frame; later, replaces the token with a newer one of the same user."""

    token: str


class PongFrame(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to a ``ping``, with its timestamp: the client has read everything up to that ping."""

    timestamp: float | str | None = None
    """That of the ping."""


ConversationFrame = TextFrame | TypingFrame | ReadFrame | DeliveredFrame | ResumeFrame
"""Frames about a conversation. On a connection that is on one, ``conversation_id`` may be left out."""

ClientFrame = ConversationFrame | AuthFrame | PongFrame

CLIENT_FRAMES: dict[str, type[ClientFrame]] = {
    "text": TextFrame,
    "typing": TypingFrame,
    "read": ReadFrame,
    "delivered": DeliveredFrame,
    "resume": ResumeFrame,
    "auth": AuthFrame,
    "pong": PongFrame,
}
"""``type`` → its class. ``/asyncapi.json`` is made from these, with the text under a field as its description."""

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def parse_client_frame(raw: str) -> ClientFrame:
    """The frame in ``raw``. Raises ``BadJson``, ``UnknownType`` or ``Invalid``."""
    try:
        return _decoder.decode(raw)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _explained(raw, error) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadJson("the frame is not valid JSON") from error


def frame_type_of(frame: ClientFrame) -> str:
    """The ``type`` by which the client sent it."""
    return str(frame.__struct_config__.tag)


def _explained(raw: str, error: Exception) -> BadJson | UnknownType | Invalid:
    """Which of the three errors a decodable but unacceptable frame is. Off the good path, so it may be slow."""
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return BadJson("the frame is not valid JSON")
    if not isinstance(frame, dict):
        return BadJson("the frame must be a JSON object")
    frame_type = frame.get("type")
    if not isinstance(frame_type, str):
        return Invalid('the frame needs a "type", a string')
    if frame_type not in CLIENT_FRAMES:
        return UnknownType(f"unknown type; known: {', '.join(sorted(CLIENT_FRAMES))}")
    return Invalid(str(error))


def client_message_id_of(raw: str) -> str | None:
    """The ``client_message_id`` of a frame that was refused, if it can be found, so the answer can name it."""
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    found = frame.get("client_message_id") if isinstance(frame, dict) else None
    fits = isinstance(found, str) and len(found) <= LONGEST_CLIENT_ID and has_only_text(found)
    return str(found) if fits else None
