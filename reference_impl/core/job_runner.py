"""One job from its handing out to its settlement."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from traceback import format_tb

from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import ChatError, Unavailable
from reference_impl.model.jobs import Claim, Job, PermanentFailure, Postponed

logger = logging.getLogger(__name__)

JobHandler = Callable[[Job], Awaitable[None]]
"""Brings about a job's effect, which is idempotent. Raises ``PermanentFailure``, ``Postponed``, or anything."""

GiveUp = Callable[[Job, Exception], Awaitable[None]]
"""Told of a job that is given up, before it becomes a dead letter. Idempotent. Raises ``Unavailable``."""

REASON_CHARACTERS = 300


async def _no_handler(job: Job) -> None:
    raise RuntimeError(f"job {job.id}: the queue was not started with a handler")


class JobRunner:
    """Runs the handler, then settles the job according to how that went. Counts into ``counts``."""

    def __init__(
        self,
        *,
        queue: WorkQueue,
        counts: Counter[str],
        max_attempts: int,
        delay_s: Callable[[int], float],
        handler_timeout_s: float,
    ) -> None:
        self.handle: JobHandler = _no_handler
        self.give_up: GiveUp | None = None
        self._queue = queue
        self._counts = counts
        self._max_attempts = max_attempts
        self._delay_s = delay_s
        self._handler_timeout_s = handler_timeout_s

    async def process_single_message(self, claim: Claim) -> None:
        """Returns when the job is settled, or when that was not possible. Raises nothing."""
        try:
            await self._settle_after(claim)
        except Unavailable as error:
            self._counts["unsettled"] += 1
            logger.warning("job %s is not settled and will be done again: %s", claim.job.id, error)
        except Exception:
            self._counts["unsettled"] += 1
            logger.exception("settling job %s failed; it will be done again", claim.job.id)

    async def _settle_after(self, claim: Claim) -> None:
        try:
            await self._attempt(claim)
        except Postponed as error:
            await self._put_back(claim, "postponed", error.delay_s, claim.attempt - 1)
        except PermanentFailure as error:
            await self._bury(claim, error)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is this job's failure, not ours
            if claim.attempt >= self._max_attempts:
                await self._bury(claim, error)
                return
            delay_s = self._delay_s(claim.attempt)
            _log_failure(claim, error, f"again in {delay_s:.1f} s")
            await self._put_back(claim, "retried", delay_s, claim.attempt)
        else:
            self._count("done", await self._queue.done(claim))

    async def _attempt(self, claim: Claim) -> None:
        if claim.attempt > self._max_attempts:
            raise PermanentFailure(f"tried {self._max_attempts} times; its last worker was never heard of again")
        async with asyncio.timeout(self._handler_timeout_s):
            await self.handle(claim.job)

    async def _put_back(self, claim: Claim, what: str, delay_s: float, attempts: int) -> None:
        self._count(what, await self._queue.put_back(claim, delay_s=delay_s, attempts=attempts))

    async def _bury(self, claim: Claim, error: Exception) -> None:
        _log_failure(claim, error, "given up, see the dead letters")
        await self._say_farewell(claim, error)
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
        self._count("dead", await self._queue.bury(claim, reason))

    async def _say_farewell(self, claim: Claim, error: Exception) -> None:
        """Before it is buried: if we die in between, it is done again, and nobody waits for what never comes."""
        if self.give_up is None:
            return
        try:
            async with asyncio.timeout(self._handler_timeout_s):
                await self.give_up(claim.job, error)
        except Unavailable:
            raise  # it is not buried, and comes back
        except Exception:
            logger.exception("job %s is given up, and whoever waits for it could not be told", claim.job.id)

    def _count(self, what: str, was_ours: bool) -> None:
        self._counts[what if was_ours else "overtaken"] += 1


def _log_failure(claim: Claim, error: Exception, then: str) -> None:
    """Says which error it was, and where a bug made it. What the error says may quote the payload: not logged."""
    logger.warning("job %s, attempt %d: %s; %s", claim.job.id, claim.attempt, type(error).__name__, then)
    if not isinstance(error, (ChatError, PermanentFailure, TimeoutError)):
        logger.warning("job %s failed here:\n%s", claim.job.id, "".join(format_tb(error.__traceback__)))
