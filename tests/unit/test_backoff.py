"""The time before the next attempt."""

import random

import pytest

from reference_impl.core.backoff import Backoff


def test_it_doubles_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the jitter chooses from: nothing to 1 s, to 2 s, to 4 s, and never more than the cap."""
    chosen: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        chosen.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", highest)
    assert [Backoff(1.0, 60.0).delay_s(attempt) for attempt in (1, 2, 3, 7, 8, 5000)] == [1, 2, 4, 60, 60, 60]
    assert {low for low, _ in chosen} == {0}


def test_no_two_come_back_together() -> None:
    """The jitter is full: the delays of many lie all over the span."""
    delays = [Backoff(1.0, 60.0).delay_s(5) for _ in range(400)]
    assert all(0 <= delay <= 16 for delay in delays)
    assert min(delays) < 2
    assert max(delays) > 14
    assert len(set(delays)) > 390
