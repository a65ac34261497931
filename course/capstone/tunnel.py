"""TCP through a Unix socket: the sandbox has a network of its own, and this is the one door.

Outside, each instance has a port; a connection to it goes through the door, and its first byte says to which instance.
Inside, it goes on to that instance's port. Standard library only.
"""

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
MAX_BYTES_OUT = 32 * 2**20
"""What all answers together may have: a right server needs a tenth of it."""


class OuterEnd:
    """The ports outside: ``async with OuterEnd(path, 2) as tunnel: tunnel.urls``."""

    def __init__(self, path: Path, instances: int) -> None:
        self._path, self._instances = path, instances
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._bytes_out = 0

    @property
    def urls(self) -> list[str]:
        """Where the instances are. Valid while the tunnel is open."""
        return [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in self._servers]

    @property
    def is_flooded(self) -> bool:
        """Whether more came out than anybody has asked for; from then on nothing passes."""
        return self._bytes_out > MAX_BYTES_OUT

    async def __aenter__(self) -> Self:
        for number in range(self._instances):
            self._servers.append(await asyncio.start_server(self._to(number), "127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # who was just let in is in the set now
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for writer in self._writers:
            with contextlib.suppress(AttributeError):  # asyncio's: one that closed after its last write has no loop
                writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def _to(self, number: int) -> "asyncio.streams._ClientConnectedCallback":
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._writers.add(writer)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._path))
                self._writers.add(inner_writer)
                inner_writer.write(bytes([number]))
                await _both_ways(reader, inner_writer, inner_reader, writer, self)
            writer.close()

        return accept

    def passes(self, size: int) -> bool:
        """Counts what comes out; False when it is too much."""
        self._bytes_out += size
        return not self.is_flooded


async def serve_inner_end(door: socket.socket, ports: list[int]) -> asyncio.Server:
    """Takes connections at the door, and passes each on to the port of its instance."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            (number,) = await reader.readexactly(1)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", ports[number])
            await _both_ways(reader, server_writer, server_reader, writer, None)
        writer.close()

    return await asyncio.start_unix_server(accept, sock=door)


async def _both_ways(
    reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    counter: OuterEnd | None,
) -> None:
    """Until one side is done."""
    both = [
        asyncio.create_task(_pass_on(reader, inner_writer, None)),
        asyncio.create_task(_pass_on(inner_reader, writer, counter)),
    ]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        inner_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: OuterEnd | None) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            if counter is not None and not counter.passes(len(data)):
                return
            writer.write(data)
            await writer.drain()
