"""uvicorn's two protocols, with bounds where they have none: on time, on memory, and on the number of sockets."""

import asyncio
from typing import TypeVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN

from reference_impl.core.socket_bounds import SocketBounds

HEAD_DEADLINE_S = 10.0
"""How long the headers of a request may take, from the connection or from their first byte."""

MAX_HEAD_BYTES = 32 * 1024

LOOK_S = 15.0
"""How often a peer that does not read is looked at, and how long one may take to go once it was told to."""

SLOWEST_BYTES = 8 * 1024
"""What a peer has to read in that time."""

LINGER_S = 5.0
"""How long a peer that is told why its connection ends may go on sending."""

MAX_FRAGMENTS = 1000
"""Of one WebSocket message: empty ones cost memory, too."""

BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedHttp(HttpToolsProtocol):
    """Ends sockets that are too many, send their headers too slowly or without end, or do not read the answer."""

    bounds: SocketBounds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """One more, or one too many."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._expect_head()
        if not self.bounds.come(_host_of(self)):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Counts what comes before the end of the headers."""
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """The rest has bounds of its own: the body that of the app, a WebSocket those of the next class."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """A connection that is to end, ends, whether its peer reads or not."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._look_later()

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long."""
        super().timeout_keep_alive_handler()
        self._look_later()

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._look_timer is not None and not self.transport.is_closing():
            self._look_timer.cancel()
            self._look_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets its timers."""
        for timer in (self._head_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        self.bounds.go(_host_of(self))
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self._end)

    def _end(self) -> None:
        self.bounds.stalled += 1
        self.transport.abort()

    def _look_later(self) -> None:
        if self._look_timer is None:
            waiting = self.transport.get_write_buffer_size()
            self._look_timer = self.loop.call_later(LOOK_S, self._look, waiting)

    def _look(self, waiting: int) -> None:
        self._look_timer = None
        if waiting - self.transport.get_write_buffer_size() < SLOWEST_BYTES:
            self._end()
        else:
            self._look_later()


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """Ends sockets whose handshake is no good, that send without end what is no message, or that do not go."""

    bounds: SocketBounds
    _abort_timer: asyncio.TimerHandle | None = None
    _has_failed = False

    def data_received(self, data: bytes) -> None:
        """The first data is the whole request: when it is none, nothing would ever answer it."""
        if self._has_failed:
            return
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()
            self._abort_later()

    def handle_cont(self, event: Frame) -> None:
        """A piece of a message."""
        if self._has_failed:
            return
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(1009)
        else:
            super().handle_cont(event)

    def handle_close(self, event: Frame) -> None:
        """A goodbye. What was written before goes first; a peer that does not read it has to go all the same."""
        super().handle_close(event)
        if not self.disconnected:
            self._abort_later()

    def handle_ping(self) -> None:
        """Answers, unless the peer does not read: its pongs would pile up here."""
        if self.writable.is_set() and not self._has_failed:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        """A message is complete. One that is not text ends the connection, and no traceback is written for it."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self._fail(1007)
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Says why it ends, and then reads on for a moment: who closes while the peer still sends is not heard, since
        the peer's system drops what it has received.
        """
        assert self.conn.close_sent is not None  # noqa: S101 - the library's promise
        self._has_failed = self.close_sent = True
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.transport.resume_reading()
            self.close_timer = self.loop.call_later(LINGER_S, self.transport.close)
            self._abort_later(LINGER_S + LOOK_S)

    def shutdown(self) -> None:
        """The server stops. Who has said goodbye already is told nothing more: the library would raise."""
        if self.handshake_complete and self.conn.state is not OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The app is through with it. The peer may take its time to go, and then has to."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets its timer. It is the same socket that came to the other class, which does not hear of its end."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.bounds.go(_host_of(self))
        super().connection_lost(exc)

    def _fail(self, code: int) -> None:
        if self.conn.close_sent is None:
            self.frames = []
            self.conn.fail(code)
            self.handle_parser_exception()

    def _abort_later(self, after_s: float | None = None) -> None:
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(LOOK_S if after_s is None else after_s, self._abort)

    def _abort(self) -> None:
        self.bounds.stalled += 1
        self.transport.abort()


def _host_of(protocol: GuardedHttp | GuardedWebSocket) -> str | None:
    return protocol.client[0] if protocol.client else None


def _is_utf8(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True


Guarded = TypeVar("Guarded", GuardedHttp, GuardedWebSocket)


def guarded_by(bounds: SocketBounds, protocol: type[Guarded]) -> type[Guarded]:
    """The protocol for the sockets of one server: uvicorn makes one object of it for each."""
    return type(protocol.__name__, (protocol,), {"bounds": bounds})
