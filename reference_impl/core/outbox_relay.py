"""From the store's outbox to the broker: at once when it can, later when it must."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import NamedTuple

from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock, MessageStore
from reference_impl.core.traffic import Traffic
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import MessageEvent

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Finished frames kept in memory. What is over it is not lost: it is in the outbox, and swept."""

AT_ONCE = 100
"""Messages on their way to the broker at most: one round trip for all of them."""

SETTLE_S = 1.0
"""How often announced messages are taken out of the outbox: rarely, since announcing twice does no harm."""

OVERDUE = timedelta(seconds=1.5)
"""Age from which a message in the outbox is taken for forgotten: its own instance would have settled it."""


class _Waiting(NamedTuple):
    """A stored message, its finished frame, and when it was stored: seconds of the monotonic clock."""

    event: MessageEvent
    frame: bytes
    stored_at: float


class OutboxRelay:
    """Announces stored messages, in order, without making their senders wait.

    Every message lies in the outbox from its own transaction on. What is handed over here is announced with
    its finished frame, at once. What could not be, because Redis was away or the instance that stored it has
    died, is found by the sweep of whichever instance looks first, and announced by its number alone: who
    hears it reads the rest from the store. Announcing twice does no harm.
    """

    def __init__(
        self, *, router: MessageRouter, store: MessageStore, clock: Clock, traffic: Traffic | None = None
    ) -> None:
        self.late = 0
        """Messages that were not announced at once but left to the sweep, since the start."""
        self.swept = 0
        """Conversations that were announced by the sweep, since the start."""
        self._router = router
        self._store = store
        self._clock = clock
        self._traffic = traffic or Traffic()
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._overdue_since: float | None = None
        self._announced: dict[str, int] = {}  # conversation_id -> seq, not yet taken out of the outbox
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to relay and to sweep."""
        self._tasks = [
            asyncio.create_task(self._relay(), name="outbox relay"),
            asyncio.create_task(self._settle_and_sweep(), name="outbox sweep"),
        ]

    def hand_over(self, event: MessageEvent, frame: bytes) -> None:
        """Queues a stored message and its finished frame for announcing. Does not wait."""
        try:
            self._waiting.put_nowait(_Waiting(event, frame, time.monotonic()))
        except asyncio.QueueFull:
            self._leave_to_sweep(1, "the relay's queue is full")

    @property
    def lag_s(self) -> float:
        """For how long the outbox has held messages that should have been announced; 0 when it holds none."""
        return 0.0 if self._overdue_since is None else time.monotonic() - self._overdue_since

    @property
    def waiting(self) -> int:
        """Messages handed over and not yet announced."""
        return self._waiting.qsize()

    async def flush(self, timeout: float) -> None:
        """Waits up to ``timeout`` seconds until everything handed over is announced, and settles it."""
        try:
            async with asyncio.timeout(timeout):
                await self._waiting.join()
                await self._settle()
        except TimeoutError:
            logger.warning("%d messages left to the sweep of another instance", self._waiting.qsize())
        except Unavailable as error:
            logger.warning("announced messages stay in the outbox: %s", error)

    async def stop(self) -> None:
        """Ends. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def _relay(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < AT_ONCE and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            failures = await self._announce_all(group)
            away = next((error for error in failures if isinstance(error, Unavailable)), None)
            if away is not None:
                self._leave_to_sweep(len(failures) + self._drop_waiting(), str(away))
            elif failures:
                self._leave_to_sweep(len(failures), "announcing failed")
            for _ in group:
                self._waiting.task_done()

    async def _announce_all(self, group: list[_Waiting]) -> list[Exception]:
        """Publishes each before the next, and waits for all answers together. Returns what went wrong."""
        if len(group) == 1:  # by far the most frequent: a task for it would cost 5 µs, and a turn of the loop
            results = [await self._announce(group[0])]
        else:
            results = await asyncio.gather(*map(self._announce, group))
        return [error for error in results if error is not None]

    async def _announce(self, one: _Waiting) -> Exception | None:
        message = one.event.message
        try:
            await self._router.publish_message(message, one.frame, one.event.origin_connection_id)
        except Unavailable as error:
            return error
        except Exception as error:
            logger.exception("announcing message %s failed", message.id)
            return error
        self._traffic.publish_seconds.observe(time.monotonic() - one.stored_at)
        self._note(message.conversation_id, message.seq)
        return None

    def _drop_waiting(self) -> int:
        """Redis is away: those behind would each wait for the same failure. Returns how many there were."""
        dropped = 0
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()
            dropped += 1
        return dropped

    def _leave_to_sweep(self, count: int, why: str) -> None:
        self.late += count
        logger.warning("%d stored messages are announced later: %s", count, why)

    def _note(self, conversation_id: str, seq: int) -> None:
        self._announced[conversation_id] = max(seq, self._announced.get(conversation_id, 0))

    async def _settle_and_sweep(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await self._settle()
                await self._sweep()
            except Unavailable as error:
                logger.warning("the outbox is left for later: %s", error)
            except Exception:
                logger.exception("settling the outbox failed, trying again")

    async def _settle(self) -> None:
        announced, self._announced = self._announced, {}
        if not announced:
            return
        try:
            await self._store.mark_announced(announced)
        except BaseException:
            for conversation_id, seq in announced.items():
                self._note(conversation_id, seq)
            raise

    async def _sweep(self) -> None:
        overdue = await self._store.unannounced(self._clock() - OVERDUE)
        if not overdue:
            self._overdue_since = None
        elif self._overdue_since is None:
            self._overdue_since = time.monotonic() - OVERDUE.total_seconds()
        for conversation_id, seq in overdue.items():
            await self._router.publish_head(conversation_id, seq)
            self._note(conversation_id, seq)
            self.swept += 1
