"""uvicorn's WebSocket as a wire: see ``api/direct_socket.py``."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from websockets.http11 import Request
from websockets.protocol import OPEN

from reference_impl.api.direct_socket import EXTENSION, Event, Wire
from reference_impl.core.connection import GIVE_UP_S
from reference_impl.guards import GuardedWebSocket
from reference_impl.model.envelope import EncodedFrame


class DirectWebSocket(GuardedWebSocket, Wire):
    """Handshake and everything that is read stay uvicorn's, whose parser knows the rules: masks, sizes, fragments,
    control frames, UTF-8. Handed over, what it would put into its queue is passed on at once; and what is written is
    whole text frames, so that nothing has to be made of them here.
    """

    complete_handshake: Callable[[], Awaitable[None]]
    is_writable, is_closed = False, True  # until the handshake is complete
    _is_handed_over, _is_reading = False, True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nobody wants to know yet."""
        self.on_change: Callable[[], None] = _nobody
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """The peer's goodbye may be in it, or a mistake that ends the connection."""
        super().data_received(data)
        self._look()

    async def send(self, message: Any) -> None:
        """What the endpoint has to say before it takes over: that it accepts, or does not."""
        await super().send(message)
        self._look()

    async def accept(self) -> None:
        """Completes the handshake, once."""
        if not self.handshake_complete:
            await self.complete_handshake()
            del self.complete_handshake  # all that belongs to the handshake hangs on it

    def handle_connect(self, event: Request) -> None:
        """Tells the endpoint what this server has to offer."""
        super().handle_connect(event)
        if not self.close_sent:
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    async def run_asgi(self) -> None:
        """The endpoint. When it has handed the socket over, its end is not the socket's."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
        self.send_500_response()  # does nothing once the handshake was answered
        if not self._is_handed_over and self.close_timer is None:
            self.transport.close()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """As above. What belonged to the handshake is let go: with all that hangs on it that is 8 KiB."""
        if self._is_handed_over:
            self.tasks.discard(task)
            self.request.headers.clear()  # the library's parser holds it to the end
            del self.scope, self.request, self.response
        else:
            super().on_task_complete(task)

    def hand_over(self, take: Callable[[Event], None]) -> None:
        """``take`` stands where the queue was. Nobody waits for writability any more: a flag does."""
        waiting, self.queue = self.queue, cast(Any, _Passer(take))
        self.writable = cast(Any, _Flag(is_set=self.writable.is_set()))
        self._is_handed_over = True
        # uvicorn pauses after every frame, unless it has. From here on its flag says that, and ours how it is.
        self._is_reading, self.read_paused = not self.read_paused, True
        while not waiting.empty():
            take(cast(Event, waiting.get_nowait()))

    def read(self, *, go_on: bool) -> None:
        """Once handed over; or when it is closed before that, while uvicorn's own flag counts."""
        is_reading = self._is_reading if self._is_handed_over else not self.read_paused
        if go_on == is_reading or self.transport.is_closing():
            return
        self._is_reading = go_on
        self.read_paused = self._is_handed_over or not go_on
        if go_on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Held by the server, like an endpoint's task."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def write(self, frames: Sequence[EncodedFrame]) -> None:
        """In one piece, past the library's own way to send: it would make the same bytes anew for each connection."""
        if self.is_closed:
            raise ConnectionError("the peer is gone")
        self.transport.write(frames[0].wire if len(frames) == 1 else b"".join([frame.wire for frame in frames]))

    def close(self, code: int, reason: str) -> None:
        """The close frame goes behind what the peer has not read yet."""
        if self.is_closed:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._look()
        self.read(go_on=True)  # or the peer's answer would not be seen
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        self._abort_later(GIVE_UP_S)
        self.on_change()

    def pause_writing(self) -> None:
        """The transport's buffer is above its mark of 64 KiB: the peer does not read."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        self._look()
        self.on_change()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """The network is gone."""
        super().connection_lost(exc)
        self._look()
        self.on_change()

    def _look(self) -> None:
        """Notes how things are, after whatever may have changed them: who writes asks for each frame.

        It is closed when either side has sent its close frame, or the network is gone.
        """
        self.is_closed = self.close_sent or self.disconnected or self.conn.state is not OPEN
        self.is_writable = not self.is_closed and self.writable.is_set()


class _Passer:
    """Passes on what is put into it."""

    __slots__ = ("put_nowait",)

    def __init__(self, take: Callable[[Event], None]) -> None:
        self.put_nowait = take


class _Flag:
    """An ``asyncio.Event`` that nobody waits for. It has no queue for those who do, which takes 700 bytes."""

    __slots__ = ("_is_set",)

    def __init__(self, *, is_set: bool) -> None:
        self._is_set = is_set

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False


def _nobody() -> None:
    """Until somebody writes."""
