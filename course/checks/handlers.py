"""Handlers of events for the cases of exercise 9: four shapes, sync and async, that do what the case says.

What one does:

- ``notes``, ``waits`` (async, until the case lets it finish), ``leaves`` (unsubscribes itself)
- ``raises``, ``raises later`` (async, in the middle), ``raises when called`` (async, before there is anything to await)
- ``removes x``, ``brings x``: unsubscribes another handler of its event type, or subscribes a new one
- ``publishes t``: waits, and before it ends it publishes an event of type ``t``
"""

import asyncio
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

KINDS = ("function", "partial", "method", "object")


@dataclass(frozen=True)
class Event:
    """What is published in these cases."""

    type: str
    data: Any


class Stage:
    """One bus, the handlers of one case, and what they have noted."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.notes: list[str] = []
        self.get: dict[tuple[str, str], Callable[[], Any]] = {}
        # Weakly: only the handler itself may keep what it waits for, or no forgotten task would ever be collected.
        self._waiting: dict[str, list[weakref.ref[asyncio.Future[None]]]] = {}

    def subscribe(self, event_type: str, name: str, kind: str, does: str, *, is_async: bool) -> None:
        """Makes a handler and subscribes it."""
        owner = (_Async if is_async else _Sync)(self, event_type, name, does)
        self.get[event_type, name] = shaped(owner, kind)
        (self.bus.subscribe_async if is_async else self.bus.subscribe)(event_type, self.get[event_type, name]())

    def unsubscribe(self, event_type: str, name: str) -> None:
        """Takes a handler out; one that never was there, too."""
        handler = self.get.get((event_type, name), lambda: print)()
        self.bus.unsubscribe(event_type, handler)

    def note(self, text: str) -> None:
        """Something has happened in a handler."""
        self.notes.append(text)

    async def wait(self, name: str) -> None:
        """Until ``finish``."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(weakref.ref(future))
        await future

    def finish(self, name: str) -> None:
        """Lets a handler that waits go on, in all events that it is busy with."""
        for waiting in self._waiting.pop(name, ()):
            future = waiting()
            if future is not None and not future.done():
                future.set_result(None)

    def finish_all(self) -> None:
        """Lets go whoever waits."""
        for name in list(self._waiting):
            self.finish(name)


class _Sync:
    def __init__(self, stage: Stage, event_type: str, name: str, does: str) -> None:
        self.stage, self.event_type, self.name, self.does = stage, event_type, name, does

    def hear(self, event: Event) -> None:
        """What the case says that it does."""
        self.stage.note(f"{self.name} hears {event.data}")
        what, _, other = self.does.partition(" ")
        if what == "raises":
            raise ValueError(f"{self.name} has failed")
        if what == "leaves":
            self.stage.unsubscribe(self.event_type, self.name)
        elif what == "removes":
            self.stage.unsubscribe(self.event_type, other)
        elif what == "brings":
            self.stage.subscribe(self.event_type, other, "function", "notes", is_async=False)


class _Async(_Sync):
    async def hear(self, event: Event) -> None:  # type: ignore[override]
        """The same in a coroutine, with a pause."""
        if self.does in ("raises later", "waits") or self.does.startswith("publishes"):
            self.stage.note(f"{self.name} hears {event.data}")
            await self._in_the_middle(event)
        else:
            super().hear(event)

    async def _in_the_middle(self, event: Event) -> None:
        if self.does == "raises later":
            await asyncio.sleep(0)
            raise ValueError(f"{self.name} has failed")
        await self.stage.wait(self.name)
        what, _, other = self.does.partition(" ")
        if what == "publishes":
            answer = self.stage.bus.publish(Event(other, event.data))
            if inspect.isawaitable(answer):
                await answer
        self.stage.note(f"{self.name} ends {event.data}")


class _SyncObject:
    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __call__(self, event: Event) -> None:
        self.owner.hear(event)


class _AsyncObject:
    def __init__(self, owner: Any) -> None:
        self.owner = owner

    async def __call__(self, event: Event) -> None:
        await self.owner.hear(event)


def shaped(owner: Any, kind: str) -> Callable[[], Any]:
    """Gives the handler in one of four shapes; a method is a new object each time, equal to the one before."""
    if kind == "method" and owner.does != "raises when called":
        return lambda: owner.hear
    handler = _made(owner, kind)
    return lambda: handler


def _made(owner: Any, kind: str) -> Any:
    if owner.does == "raises when called":
        return partial(_Sync.hear, owner)  # no coroutine comes back: it fails before
    if kind == "partial":
        return partial(type(owner).hear, owner)
    if kind == "object":
        return _AsyncObject(owner) if isinstance(owner, _Async) else _SyncObject(owner)
    return _function(owner)


def _function(owner: Any) -> Any:
    async def async_handler(event: Event) -> None:
        await owner.hear(event)

    def handler(event: Event) -> None:
        owner.hear(event)

    return async_handler if isinstance(owner, _Async) else handler
