"""A server that speaks as much of Redis's protocol as a test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis

CERTIFICATE = Path(__file__).parent / "unit" / "data" / "for_tests_only.pem"

Reply = Callable[[list[bytes]], bytes | None]


class StandIn:
    """Answers each command with what ``reply`` says; None: not at all."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.said: list[list[bytes]] = []
        """All commands that came, over all connections."""
        self.url = ""
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._writers)

    def send(self, data: bytes) -> None:
        """To everybody who is connected, unasked."""
        for writer in self._writers:
            writer.write(data)

    def cut(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        commands = hiredis.Reader()
        self._writers.add(writer)
        try:
            while data := await reader.read(65536):
                await self.may_read.wait()
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    self.said.append(command)
                    if (answer := self.reply(command)) is not None:
                        writer.write(answer)
        except OSError:
            pass  # the other side has ended it: that is what some tests are about
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def stand_in(
    reply: Reply = lambda _command: None, *, tls: bool = False, path: Path | None = None
) -> AsyncIterator[StandIn]:
    """Listens on a port of the system's, or at ``path``."""
    made = StandIn(reply)
    if path is not None:
        server = await asyncio.start_unix_server(made.serve, path)
        made.url = f"unix://{path}"
    else:
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
        made.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.may_read.set()
        made.cut()
        server.close()
        await server.wait_closed()
