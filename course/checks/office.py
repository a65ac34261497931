"""What a chat is made of in exercise 10: a store, a bus, a push service and an assistant, all of which can fail.

They only write down what happens to them.
"""

import asyncio
import copy
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self

NOTHING_DONE, ANSWER_LOST = "nothing done", "done, answer lost"
"""How a call fails: before it has done anything, or after all of it."""

TRIES = 3
MOST_DELIVERIES = 500
"""In one run: who causes more goes round in circles."""

_open: ContextVar[bool] = ContextVar("a transaction is open", default=False)
"""Whether the caller is inside of a transaction."""


class Faults:
    """Makes the n-th call of something fail, or all of them for a while."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self._plan: dict[str, tuple[int, str]] = {}
        self.inside: list[str] = []
        """Calls to others that were made inside of a transaction."""

    def breaks(self, what: str, number: int, how: str) -> None:
        """The ``number``-th call from now on fails."""
        self._plan[what] = (number, how)

    async def call(self, what: str, act: Callable[[], Any]) -> Any:
        """Does it, after a pause in which others run."""
        await asyncio.sleep(0)
        return self.call_now(what, act)

    def call_now(self, what: str, act: Callable[[], Any]) -> Any:
        """Does it, or fails."""
        if what.split(".")[0] in self.down:
            raise ConnectionError(f"{what}: nobody answers")
        number, how = self._plan.pop(what, (0, ""))
        if number > 1:
            self._plan[what] = (number - 1, how)
        if number == 1 and how == NOTHING_DONE:
            raise ConnectionError(f"{what} has failed")
        result = act()
        if number == 1:
            raise ConnectionError(f"{what}: the answer was lost")
        return result

    def note_inside(self, what: str) -> None:
        """Writes down a call that is made inside of a transaction."""
        if _open.get():
            self.inside.append(what)


class Store:
    """Keys and values. All changes of a transaction are kept together, or none; one transaction at a time."""

    def __init__(self, faults: Faults) -> None:
        self.data: dict[str, Any] = {}
        self.faults = faults
        self.turn = asyncio.Lock()

    def transaction(self) -> "Transaction":
        """``async with store.transaction() as tx:``"""
        return Transaction(self)


class Transaction:
    """Reads and writes; commits at the end of its block, unless the block raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        if _open.get():
            raise RuntimeError("a transaction inside of a transaction")
        await self._store.turn.acquire()
        _open.set(True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _open.set(False)
        try:
            if kind is None:
                await self._store.faults.call("commit", lambda: self._store.data.update(self._changes))
        finally:
            self._store.turn.release()

    async def get(self, key: str) -> Any:
        """The value; None when there is none."""
        value = await self._store.faults.call("tx.get", lambda: self._changes.get(key, self._store.data.get(key)))
        return copy.deepcopy(value)

    async def set(self, key: str, value: Any) -> None:
        """Changes a value."""
        await self._store.faults.call("tx.set", lambda: self._changes.update({key: copy.deepcopy(value)}))


class Push:
    """A push service. It takes each key once: what has a key that it knows, it leaves out."""

    def __init__(self, faults: Faults) -> None:
        self.taken: dict[str, list[str]] = {}
        self._faults = faults

    async def send(self, key: str, user: str, text: str) -> None:
        """Shows a text on the user's phone."""
        self._faults.note_inside("push.send")
        await self._faults.call("push.send", lambda: self.taken.setdefault(key, [user, text]))


class Assistant:
    """A program that answers, each time in other words."""

    def __init__(self, faults: Faults) -> None:
        self.says = "yes"
        self.asked = 0
        self._faults = faults

    async def answer(self, _question: str) -> str:
        """Its answer."""
        self._faults.note_inside("assistant.answer")
        return str(await self._faults.call("assistant.answer", self._answer))

    def _answer(self) -> str:
        self.asked += 1
        return f"{self.says} ({self.asked})"


class Bus:
    """A bus that delivers at least once: what a handler failed at comes to it again."""

    def __init__(self, faults: Faults, store: Store) -> None:
        self.events: list[list[Any]] = []
        """Message id, whether a transaction was open, whether the message was stored: of each event."""
        self.errors: set[str] = set()
        """What handlers have raised."""
        self.endless = False
        self._faults, self._store = faults, store
        self._published: list[Any] = []
        self._handlers: list[Any] = []
        self._due: list[tuple[Any, Any]] = []

    def subscribe(self, _event_type: str, handler: Any) -> None:
        """There is only one type of event here."""
        self._handlers.append(handler)

    def publish(self, _event_type: str, message: Any) -> None:
        """Says it to all who have subscribed, later."""
        self._faults.call_now("bus.publish", lambda: self._note(copy.deepcopy(message)))

    def _note(self, message: Any) -> None:
        name = message["id"]
        self.events.append([name, _open.get(), f"messages/{name}" in self._store.data])
        self._published.append(message)
        self._due += [(handler, message) for handler in self._handlers]

    def restart(self) -> None:
        """Nobody is subscribed any more, and nobody knows how far the events have come."""
        self._handlers, self._due = [], []

    def deliver_again(self) -> None:
        """All events that ever were come to all handlers."""
        self._due = [(handler, message) for message in self._published for handler in self._handlers]

    async def run(self, times: int, *, together: bool) -> None:
        """Delivers what is due, and what comes of it. What still fails after three tries stays due."""
        failed: list[tuple[Any, Any]] = []
        deliveries = 0
        while self._due and not self.endless:
            handler, message = self._due.pop(0)
            if together:
                await asyncio.gather(*(self._try(handler, message) for _ in range(times)))
            done = [await self._until_done(handler, message) for _ in range(times)]
            if not all(done):
                failed.append((handler, message))
            deliveries += 1
            self.endless = deliveries > MOST_DELIVERIES
        self._due = failed

    async def _until_done(self, handler: Any, message: Any) -> bool:
        for _ in range(TRIES):
            if await self._try(handler, message):
                return True
        return False

    async def _try(self, handler: Any, message: Any) -> bool:
        try:
            result = handler(copy.deepcopy(message))
            if inspect.isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
            self.errors.add(f"{type(error).__name__}: {error}")
            return False
        return True
