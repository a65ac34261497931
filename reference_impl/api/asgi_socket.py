"""A socket through ASGI messages, as any server offers it: one task reads, another writes."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect

from reference_impl.api.sign_in import chosen_subprotocol
from reference_impl.api.socket_session import SocketSession
from reference_impl.core.connection import GIVE_UP_S
from reference_impl.core.ports import Transport
from reference_impl.model.envelope import EncodedFrame


class AsgiTransport(Transport):
    """Sends by ``await websocket.send(…)``, which waits while the peer does not read: until then it is not writable."""

    def __init__(self, websocket: WebSocket) -> None:
        self.on_change: Callable[[], None] = _nobody
        self._websocket = websocket
        self.is_closed, self.is_writable = False, True
        self._is_accepted = False
        self._writing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def accept(self) -> None:
        """Completes the handshake, once."""
        if not self._is_accepted:
            await self._websocket.accept(subprotocol=chosen_subprotocol(self._websocket))
            self._is_accepted = True

    def write(self, frames: Sequence[EncodedFrame]) -> None:
        """Starts to send them, one after the other."""
        self.is_writable = False
        self._writing = asyncio.create_task(self._write(frames))

    def close(self, code: int, reason: str) -> None:
        """Starts to close, once."""
        if self._closing is None and not self.is_closed:
            self._closing = asyncio.create_task(self._close(code, reason))

    def peer_is_gone(self) -> None:
        """Its disconnect was read."""
        self._has_closed()

    async def finish(self) -> None:
        """Returns when neither of its tasks runs any more: what is not on the network by now, never will be."""
        for task in (self._writing, self._closing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _write(self, frames: Sequence[EncodedFrame]) -> None:
        try:
            for frame in frames:
                await self._websocket.send({"type": "websocket.send", "text": frame.text})
        except (OSError, RuntimeError, WebSocketDisconnect):
            self._has_closed()
        finally:
            self._writing = None
            self.is_writable = not self.is_closed
            self.on_change()

    async def _close(self, code: int, reason: str) -> None:
        try:
            with suppress(OSError, RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(GIVE_UP_S):
                    if self._writing is not None:
                        await asyncio.wait([self._writing])
                    await self._websocket.close(code, reason)
        finally:
            self._has_closed()

    def _has_closed(self) -> None:
        self.is_closed, self.is_writable = True, False
        self.on_change()


async def run_through_asgi(websocket: WebSocket, transport: AsgiTransport, session: SocketSession) -> None:
    """Reads until the peer has gone or the server has closed the connection. Then nothing of it is left."""
    reading = asyncio.create_task(_read(websocket, transport, session), name="reader")
    ended = asyncio.create_task(session.connection.written())
    try:
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # In a task of its own: whatever ends this one must not leave half a connection behind.
        await asyncio.shield(_finish([reading, ended], transport, session))


async def _read(websocket: WebSocket, transport: AsgiTransport, session: SocketSession) -> None:
    while (event := await websocket.receive())["type"] == "websocket.receive":
        if (rest := session.take(event.get("text"))) is not None:
            await rest
    session.left(event.get("code"))
    transport.peer_is_gone()


async def _finish(tasks: list[asyncio.Task[None]], transport: AsgiTransport, session: SocketSession) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await session.end()
    await transport.finish()


def _nobody() -> None:
    """Before the connection is open nobody writes."""
