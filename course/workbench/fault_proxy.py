"""A link to Redis that can be broken on purpose."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from course.workbench.resp import RespSplitter, is_message

CHUNK = 64 * 1024
TURNS = 20


class FaultProxy:
    """Passes connections on to a Redis: ``async with FaultProxy(redis_url) as link: link.url``.

    - ``cut``: every connection breaks, and new ones do too, until ``restore``.
    - ``freeze``: every connection stays and nothing passes, until ``thaw``. What is sent meanwhile waits in the
      network's own buffers.
    - ``slow``: whatever passes comes so many seconds later, in order.
    - ``drop_next``: the next published messages never reach the subscriber; everything else does.

    It runs in a thread of its own: a cell that computes or sleeps would otherwise stop every link to Redis.
    """

    def __init__(self, redis_url: str) -> None:
        self._target = urlsplit(redis_url)
        self.dropped = 0
        """Published messages that were dropped, since the start."""
        self.ports: set[int] = set()
        """The ports from which it is connected to Redis now: how Redis knows its clients."""
        self._to_drop = 0
        self._delay_s = 0.0
        self._is_cut = False
        self._is_frozen = False
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What a client connects to instead. Valid while the proxy runs."""
        if self._server is None:
            raise RuntimeError("the proxy is not running")
        port = self._server.sockets[0].getsockname()[1]
        sign_in, at, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{sign_in}{at}127.0.0.1:{port}"))

    @property
    def state(self) -> str:
        """How the link is, in a word or two: ``whole``, ``cut``, ``frozen``, ``50 ms slower``."""
        if self._is_cut:
            return "cut"
        if self._is_frozen:
            return "frozen"
        return f"{self._delay_s * 1000:g} ms slower" if self._delay_s else "whole"

    @property
    def is_disturbed(self) -> bool:
        """Whether anything is done to it now."""
        return self.state != "whole" or self._to_drop > 0

    async def start(self) -> Self:
        """Begins to listen on a free port."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link to Redis", daemon=True)
        self._thread.start()
        await self._there(self._listen())
        return self

    async def stop(self) -> None:
        """Ends every connection. Idempotent."""
        if self._loop is None or self._thread is None:
            return
        await self._there(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        self._loop = self._thread = None

    async def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        self._is_cut = True
        await self._there(self._break_all())

    def restore(self) -> None:
        """Takes connections again, lets everything pass, at full speed."""
        self._is_cut = False
        self._delay_s = 0.0
        self._to_drop = 0
        self.thaw()

    def freeze(self) -> None:
        """Lets nothing pass."""
        self._is_frozen = True
        self._passing.clear()

    def thaw(self) -> None:
        """Lets it pass again."""
        self._is_frozen = False
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._let_pass)

    def slow(self, delay_s: float) -> None:
        """Makes each direction slower by ``delay_s`` seconds; 0 ends it."""
        self._delay_s = delay_s

    def drop_next(self, count: int = 1) -> None:
        """Drops the next ``count`` published messages on their way to a subscriber."""
        self._to_drop += count

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _there(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it in the proxy's own thread, and waits for it."""
        if self._loop is None:
            work.close()
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _let_pass(self) -> None:
        if not self._is_frozen:  # again, meanwhile
            self._passing.set()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._let_in, "127.0.0.1", 0)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        # Who was let in a moment ago needs some turns of the loop to become a link, and what was broken some to close.
        for _ in range(TURNS):
            await asyncio.sleep(0)
            await self._break_all()

    async def _break_all(self) -> None:
        links = tuple(self._links)
        for link in links:
            link.cancel()
        if links:
            await asyncio.wait(links)

    def _let_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A link counts, and its socket will be closed, from this moment on: also if it is broken before it begins."""
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        link.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_cut:
            with suppress(OSError):
                await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._target.port or 6379
        up_reader, up_writer = await asyncio.open_connection(self._target.hostname or "127.0.0.1", port)
        own_port = up_writer.get_extra_info("sockname")[1]
        self.ports.add(own_port)
        ways = [
            asyncio.create_task(self._pass_on(reader, up_writer)),
            asyncio.create_task(self._pass_on(up_reader, writer, RespSplitter())),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up_writer.transport.abort()  # before anything is waited for: a second cancellation must not leave it open
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.ports.discard(own_port)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, splitter: RespSplitter | None = None
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._passing.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if splitter is not None:
                data = b"".join(reply for reply in splitter.feed(data) if not self._drops(reply))
            writer.write(data)
            await writer.drain()

    def _drops(self, reply: bytes) -> bool:
        if not self._to_drop or not is_message(reply):
            return False
        self._to_drop -= 1
        self.dropped += 1
        return True
