"""Background work as values: a job, who holds it, and what becomes of one that can not be done."""

from enum import Enum
from typing import NamedTuple

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work. Its effect must be idempotent: it may be asked for more than once.

    ``id`` is chosen by whoever wants the work, and names the effect (``push:<message>:<user>``).
    ``attempts`` are those that have failed so far. ``enqueued_at`` is seconds since 1970.
    """

    id: str
    payload: bytes
    enqueued_at: float
    attempts: int = 0


class Enqueued(Enum):
    """What became of a job that was to be enqueued."""

    NEW = 1
    KNOWN = 0
    """It was asked for before; nothing is added."""
    REFUSED = -1
    """The queue is full; nothing is stored."""


class Claim(NamedTuple):
    """A job in the hands of one worker. ``receipt`` is the queue's name for this handing out.

    ``attempt`` counts from 1. Times when a worker took the job and was never heard of again count, too.
    """

    job: Job
    attempt: int
    worker: str
    receipt: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was given up, and why. It waits for an operator. ``died_at`` is seconds since 1970."""

    job: Job
    reason: str
    died_at: float
    receipt: str = ""


class QueueSizes(NamedTuple):
    """Jobs in a queue now: ready to be taken, in a worker's hands, waiting for their next attempt, given up."""

    waiting: int
    running: int
    delayed: int
    dead: int


class PermanentFailure(Exception):
    """Raised by a handler: no other attempt will do better. The job becomes a dead letter at once."""


class Postponed(Exception):
    """Raised by a handler that could not even begin. The job comes back in ``delay_s`` seconds.

    It does not count as an attempt: a provider that is known to be away would use all of them up.
    """

    def __init__(self, message: str, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s
