"""What background work needs from the outside, as protocols. ``ports.py`` has the others."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.health import Health
from reference_impl.model.jobs import Claim, DeadLetter, Enqueued, QueueSizes
from reference_impl.model.notification_content import NotificationData


class WorkQueue(Protocol):
    """Jobs that wait for workers, shared by all instances.

    - **At least once.** A job is there until a worker says ``done``, or ``bury``, or an operator purges it.
      A worker that dies with a job in its hands loses it to the next one that calls ``reclaim``.
    - **Asked for once.** A job id that is waiting, held, dead, or was done within the retention time is not
      enqueued again.
    - **In order.** Jobs are handed out first in, first out. One that failed goes to the back when its time comes.
    - **One at a time.** A claim belongs to one worker. Whoever has lost it to another can not put the job back
      or bury it; they can say ``done``, since the effect is there.
    - **Nothing is dropped.** A full queue refuses with ``QueueFull``. Dead letters are kept until purged.

    All methods raise ``Unavailable`` when the other side is away.
    """

    async def enqueue(self, job_id: str, payload: bytes) -> bool:
        """Adds a job. False when this id is known already. Raises ``QueueFull``; then nothing is stored."""

    async def enqueue_all(self, jobs: Mapping[str, bytes]) -> dict[str, Enqueued]:
        """Adds jobs, id → payload, in this order and in one step: a few hundred at most, since others wait meanwhile.

        As one after the other: where the queue gets full, the new ones behind are refused, and those who are known
        are known.
        """

    async def claim(self, worker: str, limit: int, wait_s: float) -> list[Claim]:
        """Up to ``limit`` jobs, now this worker's; waits up to ``wait_s`` seconds for the first one."""

    async def reclaim(self, worker: str, limit: int, idle_s: float) -> list[Claim]:
        """Takes over up to ``limit`` claims that were neither settled nor extended for ``idle_s`` seconds."""

    async def extend(self, claims: Sequence[Claim]) -> None:
        """Says that their worker is alive. What another one has taken over stays with the other."""

    async def done(self, claim: Claim) -> bool:
        """The effect is there: removes the job. False when it was settled before, or is lost."""

    async def put_back(self, claim: Claim, *, delay_s: float, attempts: int) -> bool:
        """Hands the job out again in ``delay_s`` seconds, with this count. False when the claim is another's now."""

    async def bury(self, claim: Claim, reason: str) -> bool:
        """Makes it a dead letter. False when the claim is another's now."""

    async def leave(self, worker: str) -> int:
        """The worker goes: its claims are waiting again, with no attempt counted. Returns how many."""

    async def dead_letters(self, limit: int, after: DeadLetter | None = None) -> list[DeadLetter]:
        """A page of them, oldest first."""

    async def replay(self, letter: DeadLetter) -> bool:
        """The job waits again, with no attempts. False when it is not there any more. Raises ``QueueFull``."""

    async def purge(self, letter: DeadLetter) -> bool:
        """Deletes it; the same id may be asked for again. False when it is not there any more."""

    async def sizes(self) -> QueueSizes:
        """How many jobs are where."""

    async def stop(self) -> None:
        """Ends the connections. Idempotent."""


class PushProvider(Protocol):
    """Brings a notification to a user who is not connected, over somebody else's service.

    - At least once: the caller repeats what was not confirmed. ``idempotency_key`` is the same each time, so
      that the other side can drop what it has seen.
    - Never logs a notification's text.
    """

    breaker: CircuitBreaker | None = None
    """What keeps it from asking a service that is down, if there is one: its state is shown to operators."""

    async def send(self, user_id: str, notification: NotificationData, *, idempotency_key: str) -> None:
        """On return the other side has it.

        Raises ``Unavailable`` when another attempt may succeed, ``Postponed`` when this one was not made,
        ``PermanentFailure`` when none will succeed.
        """

    def health(self) -> Health:
        """How the part ``push`` is, as the last attempts found it. Well, where nothing is known."""
        return Health("push")

    async def stop(self) -> None:
        """Ends the connections, if there are any. Idempotent."""


class Webhook(Protocol):
    """An endpoint on the network that is told something, at least once: the caller repeats what was not confirmed."""

    async def post(self, body: bytes, *, idempotency_key: str) -> None:
        """On return the other side has it. Raises as ``PushProvider.send`` does."""

    async def stop(self) -> None:
        """Ends the connections. Idempotent."""
