"""Finds handlers by identity: a bound method is a new object each time, so it never leaves."""

import asyncio
import logging

CAUGHT_BY = "9.1"
MISCONCEPTION = "hears_after_leaving"


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
            table[event_type] = [one for one in table.get(event_type, []) if one is not handler]

    def publish(self, event):
        handlers = list(self._handlers.get(event.type, []))
        async_handlers = list(self._async_handlers.get(event.type, []))
        for handler in handlers:
            try:
                handler(event)
            except Exception:
                self._failed(handler, event)
        for handler in async_handlers:
            task = asyncio.create_task(self._run(handler, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, handler, event):
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
