"""The circuit breaker: its three states, and any sequence of calls and reports."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reference_impl.model.circuit_breaker import CircuitBreaker, CircuitState

THRESHOLD, COOL_DOWN_S = 3, 10.0


def state_of(breaker: CircuitBreaker) -> CircuitState:
    """A function, since a type checker holds an attribute for unchanged."""
    return breaker.state


def broken(breaker: CircuitBreaker, now: float) -> None:
    """Fails until it opens."""
    while (permit := breaker.admit(now)) is not None:
        breaker.failed(permit, now)


def test_failures_in_a_row_open_it() -> None:
    """A success in between begins the count anew."""
    breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
    for report in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        permit = breaker.admit(0)
        assert permit is not None
        report(permit, 0)
    assert state_of(breaker) is CircuitState.CLOSED
    breaker.failed(breaker.admit(0) or 0, 0)
    assert state_of(breaker) is CircuitState.OPEN
    assert breaker.admit(0) is None
    assert breaker.retry_after_s(4) == 6


def test_one_probe_after_the_cool_down() -> None:
    """One call finds out, for all; its success closes the circuit."""
    breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
    broken(breaker, 0)
    assert breaker.admit(9.9) is None
    probe = breaker.admit(10)
    assert probe is not None
    assert state_of(breaker) is CircuitState.HALF_OPEN
    assert breaker.admit(10) is None
    breaker.succeeded(probe, 11)
    assert state_of(breaker) is CircuitState.CLOSED
    assert breaker.admit(11) is not None
    assert breaker.retry_after_s(11) == 0


def test_a_failed_probe_costs_another_cool_down() -> None:
    """One failure is enough then."""
    breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
    broken(breaker, 0)
    probe = breaker.admit(10)
    assert probe is not None
    breaker.failed(probe, 12)
    assert breaker.admit(21.9) is None
    assert breaker.admit(22) is not None
    assert breaker.times_opened == 2


def test_a_late_report_says_nothing() -> None:
    """A call from before the circuit opened neither closes it nor prolongs it."""
    breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
    late = breaker.admit(0)
    assert late is not None
    broken(breaker, 0)
    breaker.succeeded(late, 5)
    assert state_of(breaker) is CircuitState.OPEN
    breaker.failed(late, 5)
    probe = breaker.admit(10)
    breaker.failed(late, 10)
    assert probe is not None
    assert state_of(breaker) is CircuitState.HALF_OPEN


def test_a_probe_that_is_never_heard_of_is_given_up() -> None:
    """Its caller was cancelled: another one probes after another cool-down, and the first counts no more."""
    breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
    broken(breaker, 0)
    lost = breaker.admit(10)
    assert lost is not None
    assert breaker.admit(19.9) is None
    again = breaker.admit(20)
    assert again is not None
    breaker.failed(lost, 20)
    assert state_of(breaker) is CircuitState.HALF_OPEN
    breaker.succeeded(again, 21)
    assert state_of(breaker) is CircuitState.CLOSED


@pytest.mark.parametrize("settings", [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_settings_that_make_no_sense_are_refused(settings: tuple[int, float]) -> None:
    """When it is made, not when it is needed."""
    with pytest.raises(ValueError, match="threshold"):
        CircuitBreaker(*settings)


class AnySequence(RuleBasedStateMachine):
    """Calls overlap, reports come late or never, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(THRESHOLD, COOL_DOWN_S)
        self.now = 0.0
        self.calls: list[int] = []
        self.opened_at: float | None = None
        self.probed_at: float | None = None

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.5, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        state = self.breaker.state
        permit = self.breaker.admit(self.now)
        if permit is None:
            assert state is not CircuitState.CLOSED
            since = max(at for at in (self.opened_at, self.probed_at) if at is not None)
            assert 0 < self.breaker.retry_after_s(self.now) == pytest.approx(since + COOL_DOWN_S - self.now)
            return
        self.calls.append(permit)
        if state is not CircuitState.CLOSED:
            assert self.opened_at is not None
            since = max(at for at in (self.opened_at, self.probed_at) if at is not None)
            assert self.now - since >= COOL_DOWN_S, "let through before the cool-down was over"
            self.probed_at = self.now

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), good=st.booleans())
    def report(self, data: st.DataObject, good: bool) -> None:
        permit = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        before, opened = self.breaker.state, self.breaker.times_opened
        (self.breaker.succeeded if good else self.breaker.failed)(permit, self.now)
        after = self.breaker.state
        if good:
            assert after in (before, CircuitState.CLOSED)
            assert not (before is CircuitState.OPEN and after is CircuitState.CLOSED), "closed without a probe"
        else:
            assert after in (before, CircuitState.OPEN)
        if self.breaker.times_opened > opened:
            self.opened_at = self.now

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        assert 0 <= self.breaker.retry_after_s(self.now) <= COOL_DOWN_S


TestAnySequence = AnySequence.TestCase
