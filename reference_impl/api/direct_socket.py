"""A socket without ASGI messages: bytes go to it at once, and its events come by a call.

An endpoint waits for its next frame in a task, behind a queue, under a stack of middleware: for each connection, all
the time. This way a frame is taken where it is read, and there is a task only while something has to be waited for;
what that saves is in ``benchmarks/README.md``. What is sent and read is the same, and the same tests are run over both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from fastapi import WebSocket

from reference_impl.api.sign_in import chosen_subprotocol
from reference_impl.api.socket_session import SocketSession
from reference_impl.core.ports import Transport
from reference_impl.logs import belonging_to

EXTENSION = "breakwire.wire"
"""The name under which a server offers a ``Wire``, among the ``extensions`` of a WebSocket's scope."""

LAST_WORDS_S = 2.0
"""How long what a peer has said before it went may take."""

Event = dict[str, Any]


class Wire(Transport, Protocol):
    """A server's WebSocket that its endpoint may take over: first as a transport, then with all that it says."""

    complete_handshake: Callable[[], Awaitable[None]]
    """What ``accept`` calls, once. Whoever finds the wire puts it here."""

    def hand_over(self, take: Callable[[Event], None]) -> None:
        """From now on ``take`` is called with each event, those that wait among them, and the endpoint may return.

        They are ASGI's ``websocket.receive`` and, as the last, ``websocket.disconnect``.
        """

    def read(self, *, go_on: bool) -> None:
        """Whether to read on from the network: what is not read stays there, and then with the peer. What was read
        already still comes.
        """

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a coroutine as a task, which a server that stops waits for."""


def wire_of(websocket: WebSocket) -> Wire | None:
    """The wire of a socket whose server has one to offer."""
    wire: Wire | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if wire is not None:
        wire.complete_handshake = partial(websocket.accept, subprotocol=chosen_subprotocol(websocket))
    return wire


class DirectReader:
    """Passes a wire's events to a session, one after the other."""

    __slots__ = ("_events", "_has_ended", "_is_leaving", "_last_words", "_session", "_under_way", "_wire")

    def __init__(self, wire: Wire, session: SocketSession) -> None:
        self._wire = wire
        self._session = session
        self._events: list[Event] = []  # short, and empty as a rule: a deque would take 600 bytes of each connection
        self._under_way: asyncio.Task[None] | None = None  # what has to be done before the next event
        self._is_leaving = self._has_ended = False
        self._last_words: asyncio.TimerHandle | None = None
        wire.hand_over(self.take)
        wire.read(go_on=self._under_way is None)
        session.connection.when_ended(self._connection_ended)

    def take(self, event: Event) -> None:
        """The socket has something to say. Does not wait."""
        self._events.append(event)
        if event["type"] != "websocket.receive":
            self._is_leaving = True
        if self._under_way is None:
            self._go_on()

    def _go_on(self) -> None:
        """Up to the last event, or to one that something has to be waited for, which few need: it gets a task."""
        connection, conversation_id = self._session.connection, self._session.conversation_id
        with belonging_to(connection_id=connection.connection_id, conversation_id=conversation_id):
            while self._events:
                if (rest := self._act_on(self._events.pop(0))) is not None:
                    self._wire.read(go_on=False)
                    self._under_way = self._wire.start(rest)
                    self._under_way.add_done_callback(self._done)
                    return

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way = None
        if task.cancelled():  # by us, since it is over; or by the server, which stops
            self._end()
        self._go_on()
        self._wire.read(go_on=self._under_way is None)

    def _act_on(self, event: Event) -> Coroutine[Any, Any, None] | None:
        if event["type"] != "websocket.receive":
            self._session.left(event.get("code"))
            self._end()
        elif not self._has_ended:
            return self._session.take(event.get("text"))
        return None

    def _connection_ended(self, _: object) -> None:
        """The server has closed it, or the peer has gone. What a peer said before it went is worked on first, for a
        while: that it is gone is one of the events.
        """
        if self._is_leaving and not self._has_ended:
            self._last_words = asyncio.get_running_loop().call_later(LAST_WORDS_S, self._end)
        else:
            self._end()

    def _end(self) -> None:
        if self._last_words is not None:
            self._last_words.cancel()
        if not self._has_ended:
            self._has_ended = True
            self._wire.start(self._finish())

    async def _finish(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()  # first, or it could begin something behind the session's back
            await asyncio.wait([self._under_way])
        await self._session.end()
