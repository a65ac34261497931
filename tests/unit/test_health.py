"""How parts say how they are, and what becomes of it."""

import pytest

from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.health import Health, HealthState, health_behind, readiness


def test_a_service_behind_a_circuit_breaker() -> None:
    """Away while nobody may ask; from then on degraded until somebody has found out, be it tomorrow."""
    breaker = CircuitBreaker(failure_threshold=1, cool_down_s=10)
    assert health_behind(breaker, "push", now=0) == Health("push")
    permit = breaker.admit(now=0)
    assert permit is not None
    breaker.failed(permit, now=0)
    assert health_behind(breaker, "push", now=9).state is HealthState.AWAY
    assert health_behind(breaker, "push", now=99).state is HealthState.DEGRADED
    probe = breaker.admit(now=99)
    assert probe is not None
    assert health_behind(breaker, "push", now=99).state is HealthState.DEGRADED
    breaker.succeeded(probe, now=100)
    assert health_behind(breaker, "push", now=100).is_ok


@pytest.mark.parametrize(
    ("states", "is_draining", "status"),
    [
        ([], False, "ready"),
        ([HealthState.OK, HealthState.OK], False, "ready"),
        ([HealthState.OK, HealthState.DEGRADED], False, "degraded"),
        ([HealthState.AWAY, HealthState.OK], False, "degraded"),
        ([HealthState.AWAY], True, "draining"),
    ],
)
def test_readiness(states: list[HealthState], is_draining: bool, status: str) -> None:
    """Ready only while every part is ok; draining, however the parts are."""
    assert readiness((Health("a part", state) for state in states), is_draining=is_draining) == status
