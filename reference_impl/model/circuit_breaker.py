"""When to stop asking a service that keeps failing, and when to ask it again. Decides; calls nothing."""

from collections.abc import Callable
from enum import Enum


class CircuitState(Enum):
    """What the breaker does with calls."""

    CLOSED = "closed"
    """All is well: every call is let through."""
    OPEN = "open"
    """The service is taken for dead: no call is let through, until the cool-down is over."""
    HALF_OPEN = "half_open"
    """The cool-down is over: one call, the probe, finds out how things are."""


class CircuitBreaker:
    """Closed; open after ``failure_threshold`` failures in a row; half-open ``cool_down_s`` seconds later.

    A service that hangs takes the time and the connections of all who wait for it, and their asking keeps it
    from getting up. So after some failures nobody asks for a while, then one does, for all: its success closes
    the circuit, its failure opens it for another while.

    A caller gets a permit, makes its call, and reports with the permit how it went. A report with a permit of
    an earlier state is ignored: a call that began before the circuit opened says nothing about how things are
    now. A probe that never reports is given up after another cool-down.

    ``now`` is seconds on one clock that never goes back.
    """

    def __init__(self, failure_threshold: int = 5, cool_down_s: float = 30.0) -> None:
        if failure_threshold < 1 or cool_down_s <= 0:
            raise ValueError("a circuit breaker needs a threshold of 1 or more and a cool-down above 0")
        self.failure_threshold = failure_threshold
        self.cool_down_s = cool_down_s
        self.state = CircuitState.CLOSED
        """As of the last call: an open circuit becomes half-open when somebody asks."""
        self.times_opened = 0
        """Since the start."""
        self.on_change: Callable[[CircuitState], None] | None = None
        """Called with each new state. Must not raise."""
        self._failures = 0
        self._permit = 0
        self._no_call_before = 0.0  # not looked at while the circuit is closed

    def admit(self, now: float) -> int | None:
        """A permit for one call, or None: do not call."""
        if self.state is CircuitState.CLOSED:
            return self._permit
        if now < self._no_call_before:
            return None
        self._enter(CircuitState.HALF_OPEN, now)
        return self._permit

    def retry_after_s(self, now: float) -> float:
        """Seconds until the next permit may be had; 0 when it may be had now."""
        return 0.0 if self.state is CircuitState.CLOSED else max(0.0, self._no_call_before - now)

    def succeeded(self, permit: int, now: float) -> None:
        """The service answered, be it only that the request was wrong."""
        if permit != self._permit:
            return
        self._failures = 0
        if self.state is CircuitState.HALF_OPEN:
            self._enter(CircuitState.CLOSED, now)

    def failed(self, permit: int, now: float) -> None:
        """The service did not answer, or answered that it can not."""
        if permit != self._permit:
            return
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN or self._failures >= self.failure_threshold:
            self.times_opened += 1
            self._enter(CircuitState.OPEN, now)

    def _enter(self, state: CircuitState, now: float) -> None:
        self.state = state
        self._permit += 1
        self._failures = 0
        self._no_call_before = now + self.cool_down_s
        if self.on_change is not None:
            self.on_change(state)
