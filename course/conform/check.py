"""What a check is, and the list of all checks."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reference_impl.model.descriptions import plain

if TYPE_CHECKING:
    from course.conform.world import World

Outcome = Literal["passed", "failed", "skipped"]

SIGNING_IN = "Signing in"
DURABLE_ACK = "1 An ack means stored"
EACH_ONCE = "2 Each message once, in order, no gap"
ONE_ORDER = "3 One order for everyone"
PRESENCE = "4 Presence is true"
ACTIVITY = "Typing, read, delivered"
BAD_FRAMES = "Bad frames get an answer"
SLOW_READER = "6 A slow reader harms only itself"
CLOSE_CODES = "Close codes reach the client"
ACCESS = "Who may do what, at both doors"
LIMITS = "7 Limits"
HTTP = "HTTP"
HEARTBEAT = "Heartbeat"
OPERATIONS = "For operators"

PROMISES = (
    SIGNING_IN,
    DURABLE_ACK,
    EACH_ONCE,
    ONE_ORDER,
    PRESENCE,
    SLOW_READER,
    LIMITS,
    ACCESS,
    CLOSE_CODES,
    BAD_FRAMES,
    ACTIVITY,
    HEARTBEAT,
    HTTP,
    OPERATIONS,
)
"""In the order of the report."""

ELSEWHERE = {
    "5 Offline or silent means push": "it shows at the push provider, not at a client",
    "8 Redis down": "somebody has to take Redis away: tests/integration/test_outages.py",
    "9 Drain": "somebody has to send SIGTERM: tests/integration/test_outages.py",
    "10 Background work": "it shows in the queue: course dead-letters",
}
"""Promises that can not be seen from outside, and where they are looked at instead."""


class Broken(Exception):
    """The promise is not kept. The text says what was seen instead."""


class NotTried(Exception):
    """The check can not be made here. The text says why."""


@dataclass(frozen=True)
class Check:
    """One thing to find out. ``says`` is the promise in words; ``see`` says where to read how to keep it."""

    name: str
    promise: str
    says: str
    see: str
    run: "Callable[[World], Awaitable[None]]"
    needs: tuple[str, ...] = ()
    is_slow: bool = False
    needs_two: bool = False
    only_waits: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came out of a check. ``saw`` is what was seen instead, or why it was not tried."""

    check: Check
    outcome: Outcome
    saw: str = ""
    seconds: float = 0.0


CHECKS: dict[str, Check] = {}
"""All of them, by name, in their order."""


def check(
    promise: str,
    *,
    see: str,
    needs: tuple[str, ...] = (),
    slow: bool = False,
    two: bool = False,
    waits: bool = False,
) -> "Callable[[Callable[[World], Awaitable[None]]], Callable[[World], Awaitable[None]]]":
    """Makes a function a check: its name is the check's, its docstring the promise in words.

    It runs only when those it ``needs`` have passed, ``slow`` ones only if asked for, and ``two`` ones only with
    a second instance. One that only ``waits`` runs beside the others.

    A check returns when the promise is kept; else it raises ``Broken`` or ``NotTried``.
    """

    def add(function: "Callable[[World], Awaitable[None]]") -> "Callable[[World], Awaitable[None]]":
        name = function.__name__.replace("_", "-")
        says = re.sub(r"\s+", " ", plain(function.__doc__ or ""))
        missing = [one for one in needs if one not in CHECKS]
        if missing or name in CHECKS:
            raise ValueError(f"check {name}: there twice, or it needs what does not come before it: {missing}")
        CHECKS[name] = Check(name, promise, says, see, function, needs, slow, two, waits)
        return function

    return add


def require(holds: bool, saw: str) -> None:
    """Raises ``Broken`` unless it holds."""
    if not holds:
        raise Broken(saw)
