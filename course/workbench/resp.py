"""Where one reply of a Redis connection ends and the next begins. RESP 2 and 3; no I/O."""

LINES = b"+-:,#_("
"""Types that are one line."""

BLOBS = b"$=!"
"""Types with a length and that many bytes."""

AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}
"""Types with a count, and how many elements stand for each counted one."""


class RespSplitter:
    """Takes the bytes of a connection in whatever pieces, and gives them back reply by reply, unchanged."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The replies that are complete now. Raises ``ValueError`` for what is no RESP."""
        self._buffer += data
        replies = []
        start = 0
        while (end := _end_of_reply(self._buffer, start)) is not None:
            replies.append(bytes(self._buffer[start:end]))
            start = end
        del self._buffer[:start]
        return replies


def is_message(reply: bytes) -> bool:
    """Whether a reply is something that was published, and not an answer to a command."""
    if reply[:1] not in (b"*", b">"):
        return False
    kind = reply.split(b"\r\n", 3)[2:3]
    return kind in ([b"message"], [b"smessage"], [b"pmessage"])


def _end_of_reply(buffer: bytearray, start: int) -> int | None:
    """The index behind the reply that begins at ``start``; None when it is not all there."""
    waiting = 1  # elements still to come: an array of arrays needs no recursion
    position = start
    while waiting:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        kind, waiting = buffer[position], waiting - 1
        position, line = line_end + 2, bytes(buffer[position + 1 : line_end])
        if kind in AGGREGATES:
            waiting += max(int(line), 0) * AGGREGATES[kind] + (kind == ord("|"))  # an attribute precedes its reply
        elif kind in BLOBS:
            if int(line) >= 0:
                position += int(line) + 2
        elif kind not in LINES:
            raise ValueError(f"no RESP type: {chr(kind)!r}")
    return position if position <= len(buffer) else None
