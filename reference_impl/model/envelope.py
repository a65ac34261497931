"""What the server sends: the envelope ``{action, data, conversation_id, timestamp}``, and its encoding.

A frame is encoded once, whoever receives it: the same bytes go to every socket.
"""

from datetime import datetime

import msgspec

from reference_impl.model.messages import AwareTime, MessageInfo
from reference_impl.model.server_frames import ServerData, action_of


class EncodedFrame(msgspec.Struct):
    """A frame ready for a socket. It is made once, and a thousand sockets get the same bytes."""

    data: bytes
    """JSON, as UTF-8."""
    message_id: str | None = None
    """The message inside, for the hop recorder."""
    key: str | None = None
    """Set when the frame is true for a moment only: see ``Outbox``."""
    wire: bytes = b""
    """What a server puts on a WebSocket for it: one unmasked text frame (RFC 6455, 5.2). Made of ``data``."""

    def __post_init__(self) -> None:
        """Here and not when it is asked for: a plain field is what a loop over many sockets reads fastest."""
        self.wire = _text_header(len(self.data)) + self.data

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    @property
    def text(self) -> str:
        """``data`` as characters."""
        return self.data.decode()


class _Envelope(msgspec.Struct, frozen=True):
    action: str
    data: ServerData
    conversation_id: str | None
    timestamp: AwareTime


def _text_header(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    return b"\x81\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x81\x7f" + size.to_bytes(8)


_encode = msgspec.json.Encoder().encode


def encode_frame(
    data: ServerData,
    *,
    conversation_id: str | None,
    timestamp: datetime,
    message_id: str | None = None,
    key: str | None = None,
) -> EncodedFrame:
    """``data`` in its envelope, under the ``action`` that it belongs to, as UTF-8 JSON."""
    return EncodedFrame(_encode(_Envelope(action_of(data), data, conversation_id, timestamp)), message_id, key)


def encode_new_message(message: MessageInfo) -> EncodedFrame:
    """The ``new_message`` frame of a stored message: the same bytes on every instance."""
    return encode_frame(
        message,
        conversation_id=message.conversation_id,
        timestamp=message.timestamp,
        message_id=message.id,
    )
