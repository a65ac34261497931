"""The tutorial's way: gather puts the exceptions of async handlers into a list that nobody looks at."""

import asyncio
import logging

CAUGHT_BY = "9.2"
MISCONCEPTION = "swallows"


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
        tasks = []
        for handler in async_handlers:
            try:
                tasks.append(asyncio.create_task(handler(event)))
            except Exception:
                self._failed(handler, event)
        together = asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.add(together)
        together.add_done_callback(self._tasks.discard)

    def _failed(self, handler, event):
        self.failures += 1
        logging.exception("%r failed at event %s", handler, event.type)

    async def drain(self):
        while self._tasks:
            await asyncio.wait(self._tasks)
