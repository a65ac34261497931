"""Background work: done at least once, tried again when it fails, and never lost without a word."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from reference_impl.core.backoff import Backoff
from reference_impl.core.job_runner import GiveUp, JobHandler, JobRunner
from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import QueueFull, Unavailable
from reference_impl.model.jobs import Claim, Enqueued, QueueSizes

logger = logging.getLogger(__name__)

WAIT_S = 1.0
"""How long one look at an empty queue lasts while jobs run, and the pause when the queue is away. A job that is put
back with a delay is seen by the next look, which then ends when the job is due.
"""

IDLE_WAIT_S = 5.0
"""How long one look lasts while nothing runs here: a new job ends it at once."""


_COUNTED = {Enqueued.NEW: "enqueued", Enqueued.KNOWN: "known", Enqueued.REFUSED: "refused"}


class MessageQueue:
    """Takes jobs from a ``WorkQueue`` and hands each to the handler; settles a job only after its effect.

    - Up to ``workers`` jobs run side by side; a batch is never larger than what can begin at once, so no job
      waits in the hands of a busy instance. With one worker, jobs are done in the order they were enqueued.
    - A job that fails comes back after ``delay_s(attempt)`` seconds; meanwhile the others go on. After
      ``max_attempts`` it is a dead letter, with the reason.
    - ``claim_s``: when an instance dies, others take over its jobs after that many seconds.
    - All figures in ``counts`` are since the start of this instance.
    """

    def __init__(
        self,
        *,
        queue: WorkQueue,
        worker: str,
        queue_name: str = "message_queue",
        workers: int = 16,
        batch_size: int = 100,
        max_attempts: int = 8,
        delay_s: Callable[[int], float] | None = None,
        handler_timeout_s: float = 30.0,
        claim_s: float = 30.0,
        dead_letter_alert: int = 100,
    ) -> None:
        self.queue_name = queue_name
        self.batch_size = batch_size
        self.dead_letter_alert = dead_letter_alert
        self.counts: Counter[str] = Counter()
        """``enqueued``, ``known`` (asked for again), ``refused`` (full), ``done``, ``retried``, ``postponed``,
        ``dead``, ``reclaimed``, ``overtaken`` (another worker had it by then), ``unsettled`` (the queue was away
        when the job had ended: it will be done again)."""
        self.sizes = QueueSizes(0, 0, 0, 0)
        """As of the last look, at most ``claim_s`` / 3 seconds ago."""
        self._queue = queue
        self._worker = worker
        self._workers = workers
        self._claim_s = claim_s
        self._runner = JobRunner(
            queue=queue,
            counts=self.counts,
            max_attempts=max_attempts,
            delay_s=delay_s or Backoff().delay_s,
            handler_timeout_s=handler_timeout_s,
        )
        self._running: dict[str, tuple[Claim, asyncio.Task[None]]] = {}  # receipt -> what runs
        self._slot_freed = asyncio.Event()
        self._reclaim_at = 0.0
        self._loops: list[asyncio.Task[None]] = []

    async def start(self, handler: JobHandler, give_up: GiveUp | None = None) -> None:
        """Begins to work. Returns at once, also when the queue is away.

        ``give_up`` is told of each job that becomes a dead letter, at least once, and before it is one.
        """
        self._runner.handle, self._runner.give_up = handler, give_up
        self._loops = [
            asyncio.create_task(self._repeat(self.process_messages), name=f"queue of {self._worker}"),
            asyncio.create_task(self._repeat(self._keep), name=f"claims of {self._worker}"),
        ]

    async def enqueue_message(self, job_id: str, message: object) -> bool:
        """Asks for the effect that ``job_id`` names; ``message`` is what the handler needs, as JSON.

        False when it was asked for before. Raises ``QueueFull`` and ``Unavailable``; then nothing is stored.
        """
        try:
            is_new = await self._queue.enqueue(job_id, msgspec.json.encode(message))
        except QueueFull:
            self.counts["refused"] += 1
            raise
        self.counts["enqueued" if is_new else "known"] += 1
        return is_new

    async def enqueue_messages(self, messages: Mapping[str, object]) -> dict[str, Enqueued]:
        """Asks for many effects, job id → message, in one round trip: a few hundred at most. Says what became of each.

        Raises ``Unavailable``; then it is not known whether they are stored.
        """
        answers = await self._queue.enqueue_all({name: msgspec.json.encode(one) for name, one in messages.items()})
        for answer in answers.values():
            self.counts[_COUNTED[answer]] += 1
        return answers

    @property
    def is_alarming(self) -> bool:
        """Whether there are so many dead letters that somebody should look."""
        return self.sizes.dead >= self.dead_letter_alert

    async def stop(self, timeout: float) -> None:
        """Takes no more, waits up to ``timeout`` seconds for what runs, gives the rest back. Idempotent."""
        await _cancel(self._loops[:1])  # the one that fetches
        running = [task for _, task in self._running.values()]
        if running:
            _, late = await asyncio.wait(running, timeout=timeout)
            await _cancel(late)
        if self._loops:
            await _cancel(self._loops)
            self._loops = []
            await self._leave()
        await self._queue.stop()

    async def process_messages(self) -> None:
        """One batch: waits for a free place and for jobs, and starts them."""
        while len(self._running) >= self._workers:
            self._slot_freed.clear()
            await self._slot_freed.wait()
        limit = min(self._workers - len(self._running), self.batch_size)
        loop = asyncio.get_running_loop()
        if loop.time() >= self._reclaim_at:
            self._reclaim_at = loop.time() + self._claim_s / 3
            claims = await self._queue.reclaim(self._worker, limit, self._claim_s)
            claims = [claim for claim in claims if claim.receipt not in self._running]
            self.counts["reclaimed"] += len(claims)
        else:
            wait_s = WAIT_S if self._running else IDLE_WAIT_S
            claims = await self._queue.claim(self._worker, limit, min(wait_s, self._reclaim_at - loop.time()))
        for claim in claims:
            self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        task = asyncio.create_task(self._runner.process_single_message(claim), name=f"job {claim.job.id}")
        self._running[claim.receipt] = (claim, task)
        task.add_done_callback(lambda _: self._end(claim))

    def _end(self, claim: Claim) -> None:
        del self._running[claim.receipt]
        self._slot_freed.set()

    async def _keep(self) -> None:
        """Says that we are alive, before our jobs are taken for orphans; looks how full the queue is."""
        await self._queue.extend([claim for claim, _ in self._running.values()])
        was_alarming = self.is_alarming
        self.sizes = await self._queue.sizes()
        if self.is_alarming and not was_alarming:
            name = self.queue_name
            logger.error("%d dead letters: `course dead-letters list --queue %s` shows why", self.sizes.dead, name)
        await asyncio.sleep(self._claim_s / 3)

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        is_away = False
        while True:
            try:
                await step()
                is_away = False
            except Unavailable as error:
                if not is_away:
                    logger.warning("background work waits: %s", error)
                is_away = True
                await asyncio.sleep(WAIT_S)
            except Exception:
                logger.exception("a round of background work failed, going on")
                await asyncio.sleep(WAIT_S)

    async def _leave(self) -> None:
        try:
            given_back = await self._queue.leave(self._worker)
        except Unavailable as error:
            logger.warning("what we held is taken over in about %g s: %s", self._claim_s, error)
        else:
            if given_back:
                logger.warning("%d jobs were not finished in time and wait for another instance", given_back)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    if live := [task for task in tasks if not task.done()]:
        for task in live:
            task.cancel()
        await asyncio.wait(live)
