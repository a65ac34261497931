"""What instances tell each other through Redis.

All of it may be lost, and none of it matters then: what must not be missed is in the store, and every
instance compares itself with the store. These messages only make it quick.

They are MessagePack, which carries a finished frame as it is; JSON in JSON would be escaped here and read again there.
"""

import msgspec

from reference_impl.model.presence import PresenceChange


class BusMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="base"):
    """Base: which instance published it."""

    instance_id: str


class ConversationMessage(BusMessage, frozen=True, kw_only=True, tag="message"):
    """A stored message of a conversation, for every member's sockets: the finished frame, encoded once.

    ``origin_connection_id`` is the socket that sent it. That socket has the ``ack`` and gets no copy;
    the sender's other devices do.
    """

    conversation_id: str
    message_id: str
    seq: int
    frame: bytes
    origin_connection_id: str | None = None


class ConversationHead(BusMessage, frozen=True, kw_only=True, tag="head"):
    """Messages up to ``seq`` are in the store, and nobody is known to have announced them."""

    conversation_id: str
    seq: int


class ConversationFrame(BusMessage, frozen=True, kw_only=True, tag="frame"):
    """A frame for the members' sockets that is stored nowhere: typing, read, delivered, an answer on its way.

    Of waiting frames with the same ``key`` a socket gets the latest alone; without one it gets each. ``except_user``
    gets none.
    """

    conversation_id: str
    frame: bytes
    key: str
    except_user: str | None = None
    except_connection: str | None = None


class DirectFrame(BusMessage, frozen=True, kw_only=True, tag="direct"):
    """A frame for one user, on all devices or on those of one type; for everybody, if no user is named."""

    target_user_id: str | None
    frame: bytes
    device_type: str | None = None


class MembershipChanged(BusMessage, frozen=True, kw_only=True, tag="membership"):
    """What these users may hear has changed: they have joined or left a conversation, if one is named, were banned,
    or have signed out. The store says what."""

    user_ids: list[str]
    conversation_id: str | None = None


class PresenceChanged(BusMessage, frozen=True, kw_only=True, tag="presence"):
    """Users or devices have come or gone, each with the conversations whose members may know."""

    changes: list[tuple[PresenceChange, list[str]]]


AnyBusMessage = (
    ConversationMessage | ConversationHead | ConversationFrame | DirectFrame | MembershipChanged | PresenceChanged
)

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[AnyBusMessage] = msgspec.msgpack.Decoder(AnyBusMessage)


def encode_bus_message(message: AnyBusMessage) -> bytes:
    """The bytes that go through Redis."""
    return _encode(message)


def decode_bus_message(raw: bytes) -> AnyBusMessage:
    """The message in ``raw``. Raises ``msgspec.DecodeError`` for anything else."""
    return _decoder.decode(raw)
