"""The floor: what Python can do at all. Ready frames through bare transports, a bare reader on Redis.

No sign-in, no keep-alive, no check of anything: not a server, a measure. It writes once per delivery.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import hiredis

from benchmarks.wire import ACCEPT, CLOSE, server_frame, take_frame

UPGRADED = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()


class Broker(asyncio.Protocol):
    """Two of them: one connection publishes, the other listens."""

    def __init__(self, rooms: dict[bytes, set[asyncio.Transport]]) -> None:
        self.rooms = rooms
        self.reader = hiredis.Reader()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Kept."""
        self.transport = transport

    def command(self, *parts: bytes) -> None:
        """Written, its answer read some time."""
        self.transport.write(hiredis.pack_command(parts))  # type: ignore[arg-type]  # it takes any number

    def data_received(self, data: bytes) -> None:
        """Publications become frames."""
        self.reader.feed(data)
        while (answer := self.reader.gets()) is not False:
            if isinstance(answer, list) and answer[0] == b"message":
                frame = server_frame(answer[2])
                for transport in self.rooms.get(answer[1], ()):
                    transport.write(frame)


class Client(asyncio.Protocol):
    """One member; the path is the room."""

    def __init__(self, rooms: dict[bytes, set[asyncio.Transport]], publisher: Broker, listener: Broker) -> None:
        self.rooms, self.publisher, self.listener = rooms, publisher, listener
        self.data = b""
        self.room = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Kept."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """The handshake, then frames to publish."""
        self.data += data
        if not self.room:
            if b"\r\n\r\n" not in self.data:
                return
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            self._join(head.split(b" ", 2)[1])
        while frame := take_frame(self.data):
            opcode, payload, self.data = frame
            if opcode == CLOSE:
                self.transport.close()
            else:
                self.publisher.command(b"PUBLISH", self.room, payload)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forgotten."""
        self.rooms.get(self.room, set()).discard(self.transport)

    def _join(self, room: bytes) -> None:
        self.room = room
        if room not in self.rooms:
            self.rooms[room] = set()
            self.listener.command(b"SUBSCRIBE", room)
        self.rooms[room].add(self.transport)
        self.transport.write(UPGRADED)


async def serve(listener: socket.socket, redis_url: str, ready: Callable[[], None]) -> None:
    """Until it is told to end."""
    loop, rooms = asyncio.get_running_loop(), dict[bytes, set[asyncio.Transport]]()
    address = urlsplit(redis_url)
    links = []
    for _ in range(2):
        _, link = await loop.create_connection(
            lambda: Broker(rooms), address.hostname or "127.0.0.1", address.port or 6379
        )
        links.append(link)
    server = await loop.create_server(lambda: Client(rooms, *links), sock=listener, backlog=1024)
    ready()
    await server.serve_forever()
