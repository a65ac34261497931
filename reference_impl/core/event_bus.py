"""Events inside one instance: who publishes knows nothing of who listens."""

import asyncio
import inspect
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from reference_impl.core.clock import utc_now
from reference_impl.core.ports import Clock
from reference_impl.model.event_factories import create_system_error
from reference_impl.model.events import Event, EventTypes

logger = logging.getLogger(__name__)

Handler = Callable[[Any], object]
"""Takes an event. What it returns is ignored, unless it can be awaited: then it is."""

SLOW_S = 0.1
"""A handler that holds the event loop for longer stops everybody on this instance for that long."""

SLOW_TASK_S = 10.0
"""An async handler holds nobody up; one that takes longer than this probably hangs."""


class EventBus:
    """Calls the handlers of an event's type.

    - A handler that fails harms nobody: it is logged with its traceback, counted, and told as a ``SYSTEM_ERROR``;
      the others run. One that is slow is logged and counted.
    - Handlers may subscribe and unsubscribe while an event is being published; that event still goes to
      those who were subscribed when it was published.
    - Async handlers run side by side. Their tasks are held here until they end, so none is lost.
    - Everything runs on one event loop. An event that another thread publishes is handed over to it.
    """

    def __init__(self, *, clock: Clock = utc_now, slow_s: float = SLOW_S) -> None:
        self.published: Counter[str] = Counter()
        """Event type → how many, since the start."""
        self.failures = 0
        """Handlers that raised, since the start."""
        self.slow = 0
        """Handlers that took too long, since the start."""
        self._clock = clock
        self._slow_s = slow_s
        self._handlers: dict[str, list[Handler]] = {}
        self._async_handlers: dict[str, list[Handler]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """From now on this event loop runs the handlers, whichever thread publishes."""
        self._loop = asyncio.get_running_loop()

    def subscribe(self, event_type: str, handler: Handler) -> None:
        """Calls ``handler(event)`` for each event of this type, in the publisher's own turn: it must be quick."""
        self._handlers.setdefault(event_type, []).append(handler)

    def subscribe_async(self, event_type: str, handler: Handler) -> None:
        """Awaits ``handler(event)`` for each event of this type, in a task of its own, after the sync handlers."""
        self._async_handlers.setdefault(event_type, []).append(handler)

    def unsubscribe(self, event_type: str, handler: Handler) -> None:
        """Removes a handler. One that is not there is no error."""
        for table in (self._handlers, self._async_handlers):
            handlers = table.get(event_type, [])
            if handler in handlers:
                handlers.remove(handler)

    def publish(self, event: Event) -> None:
        """Calls the sync handlers now and starts the async ones; does not wait for them.

        From another thread it only hands the event over. Raises ``RuntimeError`` where there is no running event
        loop, if the event has async handlers: nobody would ever run them.
        """
        home = self._other_loop(event)
        if home is None:
            self._call_all(event)
        else:
            home.call_soon_threadsafe(self._call_all, event)

    async def publish_async(self, event: Event) -> None:
        """Calls the sync handlers, then waits until all async ones have ended, well or badly."""
        home = self._other_loop(event)
        if home is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.publish_async(event), home))
        elif started := self._call_all(event):
            await asyncio.wait(started)

    async def drain(self, timeout: float) -> None:
        """Waits up to ``timeout`` seconds for handlers that still run, then cancels the rest and says which.

        What those handlers publish meanwhile is waited for, too.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (running := self._running()) and (left := deadline - loop.time()) > 0:
            await asyncio.wait(running, timeout=left)
        if late := self._running():
            names = ", ".join(sorted({task.get_name() for task in late}))
            logger.error("%d event handlers did not end in %g s and are cancelled: %s", len(late), timeout, names)
            for task in late:
                task.cancel()
            await asyncio.wait(late)

    def _running(self) -> set[asyncio.Task[None]]:
        return self._tasks - {asyncio.current_task()}

    def _other_loop(self, event: Event) -> asyncio.AbstractEventLoop | None:
        """The loop to hand an event over to; None when the caller is on it. Raises ``RuntimeError``."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._loop is None or self._loop.is_closed():
            self._loop = running
        if running is self._loop:
            if running is None and self._async_handlers.get(event.type):
                raise RuntimeError(f"event {event.type} has async handlers and there is no event loop: await start()")
            return None
        if self._loop is None or not self._loop.is_running():
            raise RuntimeError(f"event {event.type}: the event bus's loop does not run")
        return self._loop

    def _call_all(self, event: Event) -> list[asyncio.Task[None]]:
        """Returns the tasks of those handlers that go on."""
        self.published[event.type] += 1
        handlers = (*self._handlers.get(event.type, ()), *self._async_handlers.get(event.type, ()))
        return [task for handler in handlers if (task := self._call(handler, event)) is not None]

    def _call(self, handler: Handler, event: Event) -> asyncio.Task[None] | None:
        began = time.perf_counter()
        try:
            result = handler(event)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - as below; nobody has cancelled the publisher
            self._failed(handler, event, began)
            return None
        if (took_s := time.perf_counter() - began) > self._slow_s:
            self._was_slow(handler, event, took_s, "and held up everybody meanwhile")
        if result is None or not inspect.isawaitable(result):
            return None
        return self._start(handler, event, result)

    def _start(self, handler: Handler, event: Event, result: Awaitable[object]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._await(handler, event, result), name=f"{event.type} handler")
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
        return task

    async def _await(self, handler: Handler, event: Event, result: Awaitable[object]) -> None:
        began = time.perf_counter()
        try:
            await result
        except Exception:  # noqa: BLE001 - whatever a handler raises is its own failure
            self._failed(handler, event, began)
        else:
            if (took_s := time.perf_counter() - began) > SLOW_TASK_S:
                self._was_slow(handler, event, took_s, "in the background")

    def _failed(self, handler: Handler, event: Event, began: float) -> None:
        self.failures += 1
        name, took_s = name_of(handler), time.perf_counter() - began
        logger.exception("handler %s of event %s failed after %.3f s", name, event.type, took_s)
        if event.type != EventTypes.SYSTEM_ERROR:  # one that fails on every error must not be told of its own, for ever
            what = f"a handler of event {event.type} failed"
            about = {"handler": name, "event_type": event.type, "took_s": round(took_s, 3)}
            error = create_system_error("handler_failed", what, source="event_bus", timestamp=self._clock(), **about)
            self._call_all(error)

    def _was_slow(self, handler: Handler, event: Event, took_s: float, how: str) -> None:
        self.slow += 1
        logger.warning("handler %s of event %s took %.3f s, %s", name_of(handler), event.type, took_s, how)


def name_of(handler: Handler) -> str:
    """What to call a handler in a log. Not its ``repr``: a partial's would show its arguments."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__qualname__", None) or type(handler).__qualname__
