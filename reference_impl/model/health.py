"""How the parts that an instance leans on are, in one form for ``/readyz``, the metrics and the pages."""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

import msgspec

from reference_impl.model.circuit_breaker import CircuitBreaker, CircuitState


class HealthState(Enum):
    """From best to worst."""

    OK = "ok"
    DEGRADED = "degraded"
    """It works, but late, or not for everybody."""
    AWAY = "away"
    """It does not work; what needs it waits, or is refused."""


class Health(msgspec.Struct, frozen=True):
    """How one part is. ``detail`` says it to an operator in one line, and names no secret."""

    part: str
    state: HealthState = HealthState.OK
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nobody needs to look."""
        return self.state is HealthState.OK


class HasHealth(Protocol):
    """A part that says how it is: ``store``, ``broker``, ``push``, ``ai``."""

    def health(self) -> Health:
        """As far as it knows without asking anybody: at once, and as often as wanted."""


def health_behind(breaker: CircuitBreaker, part: str, now: float) -> Health:
    """How a service is that is called through a circuit breaker. ``now`` is on the breaker's clock."""
    if breaker.state is CircuitState.CLOSED:
        return Health(part)
    if breaker.state is CircuitState.OPEN and breaker.retry_after_s(now) > 0:
        return Health(part, HealthState.AWAY, "it failed several times in a row and is not asked for a while")
    return Health(part, HealthState.DEGRADED, "it was away; the next call finds out whether it is back")


def readiness(parts: Iterable[Health], *, is_draining: bool) -> str:
    """``ready``, ``degraded`` when a part is not ok, or ``draining``.

    Degraded is no reason to send users elsewhere: the other instances lean on the same parts.
    """
    if is_draining:
        return "draining"
    return "ready" if all(health.is_ok for health in parts) else "degraded"
