"""The work queue in one process, with a clock that a test moves by hand."""

import asyncio
import heapq
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice

import msgspec

from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import QueueFull
from reference_impl.model.jobs import Claim, DeadLetter, Enqueued, Job, QueueSizes

MAX_BACKLOG = 100_000
RETENTION_S = 24 * 3600.0


@dataclass
class _Held:
    """A job in somebody's hands, since when, and how often it was handed out."""

    job: Job
    worker: str
    since: float
    times: int = 1


class MemoryWorkQueue(WorkQueue):
    """Keeps everything in this process: what is in it ends with the process. ``now`` gives seconds.

    All workers of a test, or of a single instance, use the same object.
    """

    def __init__(
        self,
        *,
        max_backlog: int = MAX_BACKLOG,
        retention_s: float = RETENTION_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._max_backlog = max_backlog
        self._retention_s = retention_s
        self._now = now
        self._numbers = count(1)
        self._waiting: deque[tuple[str, Job]] = deque()  # receipt, job
        self._held: dict[str, _Held] = {}
        self._delayed: list[tuple[float, int, Job]] = []  # a heap: due, number, job
        self._dead: OrderedDict[str, DeadLetter] = OrderedDict()
        self._live_ids: set[str] = set()  # waiting, held, delayed or dead
        self._done_ids: OrderedDict[str, float] = OrderedDict()  # id -> when it may be asked for again
        self._arrived = asyncio.Event()

    async def enqueue(self, job_id: str, payload: bytes) -> bool:
        """Adds a job."""
        self._forget_old_ids()
        if job_id in self._live_ids or job_id in self._done_ids:
            return False
        self._require_room()
        self._add(Job(id=job_id, payload=payload, enqueued_at=self._now()))
        self._live_ids.add(job_id)
        return True

    async def enqueue_all(self, jobs: Mapping[str, bytes]) -> dict[str, Enqueued]:
        """One after the other: nobody comes in between."""
        answers = {}
        for job_id, payload in jobs.items():
            try:
                answers[job_id] = Enqueued.NEW if await self.enqueue(job_id, payload) else Enqueued.KNOWN
            except QueueFull:
                answers[job_id] = Enqueued.REFUSED
        return answers

    async def claim(self, worker: str, limit: int, wait_s: float) -> list[Claim]:
        """Waits for an arrival, or until the next delayed job is due."""
        self._promote()
        if not self._waiting:
            due_in = self._delayed[0][0] - self._now() if self._delayed else wait_s
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(wait_s, due_in)):
                    await self._arrived.wait()
            except TimeoutError:
                self._promote()
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        for receipt, job in taken:
            self._held[receipt] = _Held(job, worker, self._now())
        return [Claim(job, job.attempts + 1, worker, receipt) for receipt, job in taken]

    async def reclaim(self, worker: str, limit: int, idle_s: float) -> list[Claim]:
        """Looks at all that is held."""
        idle = [receipt for receipt, held in self._held.items() if self._now() - held.since >= idle_s][:limit]
        claims = []
        for receipt in idle:
            held = self._held[receipt]
            held.worker, held.since, held.times = worker, self._now(), held.times + 1
            claims.append(Claim(held.job, held.job.attempts + held.times, worker, receipt))
        return claims

    async def extend(self, claims: Sequence[Claim]) -> None:
        """Counts their idle time from now."""
        for claim in claims:
            if self._holds(claim):
                self._held[claim.receipt].since = self._now()

    async def done(self, claim: Claim) -> bool:
        """Removes the job, remembers its id."""
        self._live_ids.discard(claim.job.id)
        self._done_ids[claim.job.id] = self._now() + self._retention_s
        self._done_ids.move_to_end(claim.job.id)
        return self._held.pop(claim.receipt, None) is not None

    async def put_back(self, claim: Claim, *, delay_s: float, attempts: int) -> bool:
        """Delays the job."""
        if not self._holds(claim):
            return False
        del self._held[claim.receipt]
        job = msgspec.structs.replace(claim.job, attempts=attempts)
        heapq.heappush(self._delayed, (self._now() + delay_s, next(self._numbers), job))
        self._arrived.set()  # who waits for a later one may have to wake earlier
        return True

    async def bury(self, claim: Claim, reason: str) -> bool:
        """Moves the job to the dead letters."""
        if not self._holds(claim):
            return False
        del self._held[claim.receipt]
        receipt = str(next(self._numbers))
        job = msgspec.structs.replace(claim.job, attempts=claim.attempt)
        self._dead[receipt] = DeadLetter(job=job, reason=reason, died_at=self._now(), receipt=receipt)
        return True

    async def leave(self, worker: str) -> int:
        """Gives back what it held."""
        left = [receipt for receipt, held in self._held.items() if held.worker == worker]
        for receipt in left:
            self._add(self._held.pop(receipt).job)
        return len(left)

    async def dead_letters(self, limit: int, after: DeadLetter | None = None) -> list[DeadLetter]:
        """Receipts are numbers that grow."""
        newer = (one for one in self._dead.values() if after is None or int(one.receipt) > int(after.receipt))
        return list(islice(newer, limit))

    async def replay(self, letter: DeadLetter) -> bool:
        """Moves the job back."""
        if letter.receipt not in self._dead:
            return False
        self._require_room()
        self._add(msgspec.structs.replace(self._dead.pop(letter.receipt).job, attempts=0))
        return True

    async def purge(self, letter: DeadLetter) -> bool:
        """Forgets the job and its id."""
        if self._dead.pop(letter.receipt, None) is None:
            return False
        self._live_ids.discard(letter.job.id)
        return True

    async def sizes(self) -> QueueSizes:
        """Counts."""
        return QueueSizes(len(self._waiting), len(self._held), len(self._delayed), len(self._dead))

    async def stop(self) -> None:
        """Nothing to close."""

    def _add(self, job: Job) -> None:
        self._waiting.append((str(next(self._numbers)), job))
        self._arrived.set()

    def _holds(self, claim: Claim) -> bool:
        return claim.receipt in self._held and self._held[claim.receipt].worker == claim.worker

    def _promote(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._now():
            self._add(heapq.heappop(self._delayed)[2])

    def _require_room(self) -> None:
        if len(self._waiting) + len(self._held) + len(self._delayed) >= self._max_backlog:
            raise QueueFull(f"{self._max_backlog} jobs are waiting, no more may")

    def _forget_old_ids(self) -> None:
        while self._done_ids and next(iter(self._done_ids.values())) <= self._now():
            self._done_ids.popitem(last=False)
