"""What instances tell each other through Redis.

Each carries the finished frame as text: the publisher encodes it, every instance passes it on.
"""

import msgspec

from reference_impl.model.envelope import EncodedFrame


class BusMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="base"):
    """Base: which instance published it."""

    instance_id: str


class ConversationMessage(BusMessage, frozen=True, kw_only=True, tag="message"):
    """A stored message of a conversation, for every member's sockets.

    ``origin_connection_id`` is the socket that sent it. That socket has the ``ack`` and gets no copy;
    the sender's other devices do.
    """

    conversation_id: str
    message_id: str
    seq: int
    frame: str
    origin_connection_id: str | None = None


class DirectFrame(BusMessage, frozen=True, kw_only=True, tag="direct"):
    """A frame for one user, on all devices or on those of one type."""

    target_user_id: str
    frame: str
    device_type: str | None = None


class AccessRevoked(BusMessage, frozen=True, kw_only=True, tag="revoked"):
    """A user is no longer in a conversation: their sockets on it end."""

    conversation_id: str
    user_id: str


AnyBusMessage = ConversationMessage | DirectFrame | AccessRevoked

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[AnyBusMessage] = msgspec.json.Decoder(AnyBusMessage)


def encode_bus_message(message: AnyBusMessage) -> bytes:
    """The bytes that go through Redis."""
    return _encode(message)


def decode_bus_message(raw: bytes) -> AnyBusMessage:
    """The message in ``raw``. Raises ``msgspec.DecodeError`` for anything else."""
    return _decoder.decode(raw)


def frame_of(text: str, message_id: str | None = None) -> EncodedFrame:
    """The frame carried in a bus message, ready for sockets."""
    return EncodedFrame(text, len(text) if text.isascii() else len(text.encode()), message_id)
