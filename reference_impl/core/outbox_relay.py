"""Hands stored messages over to the broker, in order, without making their senders wait."""

import asyncio
import logging

from reference_impl.core.message_router import MessageRouter
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import MessageEvent

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Wake-ups kept for a broker that is slow or away."""


class OutboxRelay:
    """One queue and one task between the store and the broker.

    What is lost here is a wake-up, never a message: the message is stored, its number leaves a gap, and
    every instance reads gaps from the store. So a full queue and a failed publish are counted, not retried.
    """

    def __init__(self, router: MessageRouter) -> None:
        self.lost_wakeups = 0
        """Messages that were stored and could not be announced, since the start."""
        self._router = router
        self._waiting: asyncio.Queue[tuple[MessageEvent, str]] = asyncio.Queue(MAX_WAITING)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to relay."""
        self._task = asyncio.create_task(self._relay(), name="outbox relay")

    def hand_over(self, event: MessageEvent, frame: str) -> None:
        """Queues a stored message and its finished frame for publishing. Does not wait."""
        try:
            self._waiting.put_nowait((event, frame))
        except asyncio.QueueFull:
            self._lost(event, "the relay's queue is full")

    async def flush(self, timeout: float) -> None:
        """Waits up to ``timeout`` seconds until everything handed over is published or given up."""
        try:
            async with asyncio.timeout(timeout):
                await self._waiting.join()
        except TimeoutError:
            logger.warning("%d messages stored and not announced in time", self._waiting.qsize())

    async def stop(self) -> None:
        """Ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _relay(self) -> None:
        while True:
            event, frame = await self._waiting.get()
            try:
                await self._router.publish_message(event.message, frame, event.origin_connection_id)
            except Unavailable as error:
                self._lost(event, str(error))
            finally:
                self._waiting.task_done()

    def _lost(self, event: MessageEvent, why: str) -> None:
        self.lost_wakeups += 1
        logger.warning("message %s is stored and not announced: %s", event.message.id, why)
