"""Events inside one instance: who publishes knows nothing of who listens."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from reference_impl.model.events import Event

logger = logging.getLogger(__name__)

Handler = Callable[[Any], None]
AsyncHandler = Callable[[Any], Awaitable[None]]


class EventBus:
    """Calls the handlers of an event's type.

    - A handler that fails harms nobody: it is logged with its traceback and counted, the others run.
    - Handlers may subscribe and unsubscribe while an event is being published; that event still goes to
      those who were subscribed when it was published.
    - Async handlers run side by side. Their tasks are held here until they end, so none is lost.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._async_handlers: dict[str, list[AsyncHandler]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures = 0
        """Handlers that raised, since the start."""

    def subscribe(self, event_type: str, handler: Handler) -> None:
        """Calls ``handler(event)`` for each event of this type, in the publisher's own turn."""
        self._handlers.setdefault(event_type, []).append(handler)

    def subscribe_async(self, event_type: str, handler: AsyncHandler) -> None:
        """Awaits ``handler(event)`` for each event of this type that is published with ``publish_async``."""
        self._async_handlers.setdefault(event_type, []).append(handler)

    def unsubscribe(self, event_type: str, handler: Handler | AsyncHandler) -> None:
        """Removes a handler. One that is not there is no error."""
        for table in (self._handlers, self._async_handlers):
            handlers: list[Any] = table.get(event_type, [])
            if handler in handlers:
                handlers.remove(handler)

    def publish(self, event: Event) -> None:
        """Calls the sync handlers now and starts the async ones; does not wait for them."""
        for handler in tuple(self._handlers.get(event.type, ())):
            self._call(handler, event)
        for async_handler in tuple(self._async_handlers.get(event.type, ())):
            self._start(async_handler, event)

    async def publish_async(self, event: Event) -> None:
        """Calls the sync handlers, then waits until all async ones have ended, well or badly."""
        for handler in tuple(self._handlers.get(event.type, ())):
            self._call(handler, event)
        started = [self._start(handler, event) for handler in tuple(self._async_handlers.get(event.type, ()))]
        if started:
            await asyncio.wait(started)

    async def drain(self, timeout: float) -> None:
        """Waits up to ``timeout`` seconds for handlers that still run, then cancels the rest and says how many."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            logger.error("%d event handlers did not end in %g s and were cancelled", len(late), timeout)
            await asyncio.wait(late)

    def _call(self, handler: Handler, event: Event) -> None:
        try:
            handler(event)
        except Exception:  # noqa: BLE001 - whatever a handler raises is its own failure
            self._failed(handler, event)

    def _start(self, handler: AsyncHandler, event: Event) -> asyncio.Task[None]:
        task = asyncio.create_task(self._await(handler, event), name=f"{event.type} handler")
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
        return task

    async def _await(self, handler: AsyncHandler, event: Event) -> None:
        try:
            await handler(event)
        except Exception:  # noqa: BLE001 - as above
            self._failed(handler, event)

    def _failed(self, handler: Handler | AsyncHandler, event: Event) -> None:
        self.failures += 1
        name = getattr(handler, "__qualname__", repr(handler))  # partials and objects have no name
        logger.exception("handler %s of event %s failed", name, event.type)
