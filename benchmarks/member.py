"""One socket of the load: it counts messages without reading them.

It looks for the mark of a message in what it gets, and keeps the bytes. Who got what, in which order, is looked up
when the measurement is over: the generator must cost little beside what it measures.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from benchmarks import wire
from benchmarks.figures import MARK
from course.errors import UserError

PING = re.compile(rb'"action":"ping","data":\{"timestamp":([0-9.]+)[,}]')
LONGEST_PING = 64
"""Bytes in which all of ``PING`` fits."""


@dataclass(frozen=True)
class Entry:
    """How one member connects. ``greet`` is given each text of the server until one ends with True in the pair
    (what to answer, whether it is in the room now); None: it is in once the handshake is over."""

    port: int
    request: bytes
    greet: Callable[[bytes], tuple[bytes | None, bool]] | None = None


class Member(asyncio.Protocol):
    """One socket."""

    def __init__(self, entry: Entry, arrived: Callable[[int, int], None]) -> None:
        """``arrived`` is told how many messages the member had before, and how many it has now."""
        self._entry = entry
        self._arrived = arrived
        self._early: bytes | None = b""
        self._transport: asyncio.Transport | None = None
        self._last = b""
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.chunks: list[bytes] = []
        self.arrivals: list[tuple[float, int]] = []
        self.count = 0
        self.heard_at = 0.0
        self.hung_up: UserError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._transport.write(self._entry.request)

    def data_received(self, data: bytes) -> None:
        """Counts. The mark may be cut in two by a read's end."""
        self.heard_at = time.perf_counter()
        if self._early is not None:
            self._join(data)
            return
        self.chunks.append(data)
        fresh = data.count(MARK)
        if self._last == MARK[:1] and data[:1] == MARK[1:]:
            fresh += 1
        self._last = data[-1:]
        if fresh:
            self.arrivals.append((self.heard_at, fresh))
            self._arrived(self.count, self.count + fresh)
            self.count += fresh

    def connection_lost(self, exc: Exception | None) -> None:
        """A member that has to wait for nothing any more says so."""
        self._transport = None
        said = exc or (self._early or b"".join(self.chunks[-2:]))[-120:]
        self.hung_up = UserError(f"the server hung up on a member: {said!r}", 1)
        if not self.joined.done():
            self.joined.set_exception(self.hung_up)

    def send(self, text: bytes) -> None:
        """One message."""
        if self._transport is not None:
            self._transport.write(wire.client_frame(text))

    def close(self) -> None:
        """Without a goodbye. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        if not self.joined.done():
            self.joined.cancel()

    def _join(self, data: bytes) -> None:
        self._early = (self._early or b"") + data
        if self._early.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in self._early:
            _, _, self._early = self._early.partition(b"\r\n\r\n")
            if self._entry.greet is None:
                self._in()
                return
        elif self._early.startswith(b"HTTP/1.1") and b"\r\n\r\n" in self._early:
            self.joined.set_exception(UserError(f"the server refused: {self._early.splitlines()[0].decode()}"))
            self.close()
            return
        while self._early and not self._early.startswith(b"HTTP") and (frame := wire.take_frame(self._early)):
            opcode, payload, self._early = frame
            if opcode == wire.TEXT and self._entry.greet is not None:
                answer, is_in = self._entry.greet(payload)
                if answer is not None:
                    self.send(answer)
                if is_in:
                    self._in()
                    return

    def _in(self) -> None:
        rest, self._early = self._early, None
        if not self.joined.done():
            self.joined.set_result(None)
        if rest:
            self.data_received(rest)


class AnsweringMember(Member):
    """One that also answers the server's pings, as clients do: for measurements that last longer than a heartbeat."""

    _tail = b""

    def data_received(self, data: bytes) -> None:
        """Answers each ping once. It may be cut in two by a read's end."""
        super().data_received(data)
        seen = self._tail + data
        end = 0
        for ping in PING.finditer(seen):
            self.send(b'{"type":"pong","timestamp":%s}' % ping.group(1))
            end = ping.end()
        self._tail = seen[end:][-LONGEST_PING:]
