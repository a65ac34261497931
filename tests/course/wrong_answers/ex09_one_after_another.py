"""One task for an event, which awaits its handlers one after another: the first slow one holds up the rest."""

import asyncio
import logging

CAUGHT_BY = "9.3"
MISCONCEPTION = "one_after_another"


class EventBus:
    def __init__(self):
        self.failures = 0
        self._handlers = {}
        self._async_handlers = {}
        self._tasks = set()

    def subscribe(self, event_type, handler):
        self._handlers.setdefault(event_type, []).append(handler)

    def subscribe_async(self, event_type, handler):
        self._async_handlers.setdefault(event_type, []).append(handler)

    def unsubscribe(self, event_type, handler):
        for table in (self._handlers, self._async_handlers):
            if handler in table.get(event_type, []):
                table[event_type].remove(handler)

    def publish(self, event):
        handlers = list(self._handlers.get(event.type, []))
        async_handlers = list(self._async_handlers.get(event.type, []))
        for handler in handlers:
            try:
                handler(event)
            except Exception:
                self._failed(handler, event)
        task = asyncio.create_task(self._run(async_handlers, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, handlers, event):
        for handler in handlers:
            try:
                await handler(event)
            except Exception:
                self._failed(handler, event)

    def _failed(self, handler, event):
        self.failures += 1
        logging.exception("%r failed at event %s", handler, event.type)

    async def drain(self):
        while self._tasks:
            await asyncio.wait(self._tasks)
