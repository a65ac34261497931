"""The work queue over Redis Streams: a consumer group hands each job to one worker, and knows who has it."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from reference_impl.adapters import queue_scripts as scripts
from reference_impl.adapters.group_commit import GroupCommit
from reference_impl.adapters.queue_memory import MAX_BACKLOG, RETENTION_S
from reference_impl.adapters.redis_client import TIMEOUT_S, RedisLink
from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import QueueFull
from reference_impl.model.jobs import Claim, DeadLetter, Enqueued, Job, QueueSizes

logger = logging.getLogger(__name__)

GROUP = "workers"
LONGEST_WAIT_S = 5.0
"""The longest blocking read. Its client's own timeout is longer, so that only a frozen link meets it."""

FORGET_WORKER_S = 3600.0

SETTLED_AT_ONCE = 100
"""Jobs in one round trip. Redis does nothing else meanwhile, for about a third of a millisecond."""

Answer = TypeVar("Answer")

_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_letter = msgspec.msgpack.Decoder(DeadLetter).decode


class RedisWorkQueue(WorkQueue):
    """Keys, all with the same hash tag, so that on a cluster they lie together and one script may use them:

    - ``…:jobs``: the stream of jobs that wait or are held; what is done is deleted from it
    - ``…:delayed``: a sorted set of jobs whose next attempt is due later; the score is the moment
    - ``…:dead``: the stream of dead letters. It is never trimmed: watch its length
    - ``…:id:<job id>``: this id is known; expires ``retention_s`` after the job was done

    **If Redis loses its data (FLUSHALL, a restart without persistence), the jobs in it are lost**, dead letters
    and known ids with them. The queue itself goes on: the group is made again by whoever misses it.
    """

    def __init__(
        self,
        url: str,
        link: RedisLink,
        *,
        name: str,
        prefix: str = "",
        max_backlog: int = MAX_BACKLOG,
        retention_s: float = RETENTION_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        # A read that blocks has its own connection: others would wait behind it, and time out.
        self._reading = RedisLink(url, timeout_s=LONGEST_WAIT_S + TIMEOUT_S)
        self._max_backlog = max_backlog
        self._retention_s = retention_s
        self._now = now
        base = f"{prefix}{{queue:{name}}}:"
        self._jobs, self._delayed, self._dead = base + "jobs", base + "delayed", base + "dead"
        self._id = base + "id:"
        self._reclaim_from: bytes | str = "0-0"
        self._settled: GroupCommit[Claim, bool] = GroupCommit(self._settle, largest=SETTLED_AT_ONCE)

    async def enqueue(self, job_id: str, payload: bytes) -> bool:
        """As many."""
        answers = await self.enqueue_all({job_id: payload})
        return self._accepted(answers[job_id].value)

    async def enqueue_all(self, jobs: Mapping[str, bytes]) -> dict[str, Enqueued]:
        """One script: known, full and added are decided together."""
        if not jobs:
            return {}
        now = self._now()
        entries = [_encode(Job(id=job_id, payload=payload, enqueued_at=now)) for job_id, payload in jobs.items()]
        keys = [self._jobs, self._delayed, *(self._id + job_id for job_id in jobs)]
        answers = await self._run("enqueueing jobs", scripts.ENQUEUE, keys, self._max_backlog, *entries)
        return dict(zip(jobs, map(Enqueued, answers), strict=True))

    async def claim(self, worker: str, limit: int, wait_s: float) -> list[Claim]:
        """Moves what is due to the stream, then reads from it; wakes when the next one is due."""
        due = await self._run("looking for due jobs", scripts.PROMOTE, [self._delayed, self._jobs], self._now(), limit)
        wait_s = min(wait_s, LONGEST_WAIT_S)
        if due is not None:
            wait_s = min(wait_s, float(due) - self._now())
        block_ms = max(1, int(wait_s * 1000))  # 0 would mean for ever

        async def read(redis: Redis) -> Any:
            return await redis.xreadgroup(GROUP, worker, {self._jobs: ">"}, count=limit, block=block_ms)

        async with self._reading.commands("waiting for jobs") as redis:
            reply = await self._with_group(redis, read)
        entries = reply[0][1] if reply else []
        return await self._claims(worker, [(entry, fields.get(b"job", b""), 1) for entry, fields in entries])

    async def reclaim(self, worker: str, limit: int, idle_s: float) -> list[Claim]:
        """XAUTOCLAIM, a part of the list each time, round and round."""
        arguments = (GROUP, worker, int(idle_s * 1000), self._reclaim_from, limit)
        answer = await self._run("looking for orphaned jobs", scripts.RECLAIM, [self._jobs], *arguments)
        self._reclaim_from, *entries = answer
        await self._run("forgetting workers", scripts.FORGET_WORKERS, [self._jobs], GROUP, int(FORGET_WORKER_S * 1000))
        return await self._claims(worker, entries)

    async def extend(self, claims: Sequence[Claim]) -> None:
        """Sets their idle time to 0, for all claims of one worker at once."""
        for worker in {claim.worker for claim in claims}:
            receipts = [claim.receipt for claim in claims if claim.worker == worker]
            await self._run("keeping jobs", scripts.EXTEND, [self._jobs], GROUP, worker, *receipts)

    async def done(self, claim: Claim) -> bool:
        """XACK and XDEL, of all that are done at this moment; the id stays known for a while."""
        return await self._settled.submit(claim)

    async def put_back(self, claim: Claim, *, delay_s: float, attempts: int) -> bool:
        """From the stream into the sorted set."""
        job = _encode(msgspec.structs.replace(claim.job, attempts=attempts))
        arguments = (GROUP, claim.worker, claim.receipt, job, self._now() + delay_s)
        return bool(await self._run("putting a job back", scripts.PUT_BACK, [self._jobs, self._delayed], *arguments))

    async def bury(self, claim: Claim, reason: str) -> bool:
        """From the stream into the dead letters."""
        job = msgspec.structs.replace(claim.job, attempts=claim.attempt)
        letter = _encode(DeadLetter(job=job, reason=reason, died_at=self._now()))
        arguments = (GROUP, claim.worker, claim.receipt, letter)
        return bool(await self._run("burying a job", scripts.BURY, [self._jobs, self._dead], *arguments))

    async def leave(self, worker: str) -> int:
        """Gives back what it held, and takes its name off the group."""
        return int(await self._run("leaving the queue", scripts.LEAVE, [self._jobs], GROUP, worker))

    async def dead_letters(self, limit: int, after: DeadLetter | None = None) -> list[DeadLetter]:
        """XRANGE."""
        async with self._link.commands("reading dead letters") as redis:
            entries = await redis.xrange(self._dead, f"({after.receipt}" if after else "-", "+", count=limit)
        letters: list[tuple[bytes, dict[bytes, bytes]]] = entries  # type: ignore[assignment]
        return [
            msgspec.structs.replace(_decode_letter(fields[b"letter"]), receipt=entry.decode())
            for entry, fields in letters
        ]

    async def replay(self, letter: DeadLetter) -> bool:
        """From the dead letters into the stream."""
        job = _encode(msgspec.structs.replace(letter.job, attempts=0))
        keys = [self._dead, self._jobs, self._delayed]
        return self._accepted(
            await self._run("replaying a job", scripts.REPLAY, keys, letter.receipt, job, self._max_backlog)
        )

    async def purge(self, letter: DeadLetter) -> bool:
        """XDEL, and the id with it."""
        keys = [self._dead, self._id + letter.job.id]
        return bool(await self._run("purging a dead letter", scripts.PURGE, keys, letter.receipt))

    async def sizes(self) -> QueueSizes:
        """One round trip."""
        keys = [self._jobs, self._delayed, self._dead]
        return QueueSizes(*await self._run("counting jobs", scripts.SIZES, keys, GROUP))

    async def stop(self) -> None:
        """Closes the links. Idempotent."""
        await self._settled.stop()
        await self._reading.stop()
        await self._link.stop()

    async def _settle(self, take: Callable[[], list[Claim]]) -> list[bool | Exception]:
        claims = take()
        keys = [self._jobs, *(self._id + claim.job.id for claim in claims)]
        arguments = (GROUP, int(self._retention_s * 1000), *(claim.receipt for claim in claims))
        return list(map(bool, await self._run("settling jobs", scripts.DONE, keys, *arguments)))

    def _accepted(self, answer: int) -> bool:
        if answer < 0:
            raise QueueFull(f"{self._max_backlog} jobs are waiting, no more may")
        return answer == 1

    async def _claims(self, worker: str, entries: Sequence[Any]) -> list[Claim]:
        """What was read, decoded. What makes no sense becomes a dead letter: others must not stumble over it."""
        claims = []
        for entry, blob, times in entries:
            receipt = entry.decode()
            try:
                job = _decode_job(blob)
            except msgspec.DecodeError:
                job = Job(id=f"unreadable:{receipt}", payload=blob, enqueued_at=self._now())
                await self.bury(Claim(job, times, worker, receipt), "the entry can not be read")
                logger.warning("queue entry %s can not be read; it is a dead letter now", receipt)
                continue
            claims.append(Claim(job, job.attempts + times, worker, receipt))
        return claims

    async def _run(self, doing: str, script: str, keys: list[str], *arguments: Any) -> Any:
        async with self._link.commands(doing) as redis:
            return await self._with_group(redis, lambda redis: redis.eval(script, len(keys), *keys, *arguments))

    async def _with_group(self, redis: Redis, ask: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Makes the consumer group if it is not there: at the first start, and when Redis has lost its data."""
        try:
            return await ask(redis)
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
        try:
            await redis.xgroup_create(self._jobs, GROUP, "0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another instance was quicker
                raise
        return await ask(redis)
