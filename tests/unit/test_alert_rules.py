"""Alerts on recorded outages: they fire, they stay, they are over, and they do not flap."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_impl.model.alert_rules import AlertBook, AlertRule
from reference_impl.model.sliding_window import SlidingWindow

RULE = AlertRule(name="errors", text="too many errors", threshold=0.01, clear_at=0.005)
MINUTE = 60.0


def changes(values: list[float | None], rule: AlertRule = RULE) -> list[tuple[int, bool]]:
    """At which sample it fired or was over, one sample a minute."""
    book = AlertBook([rule])
    found = []
    for number, value in enumerate(values):
        found += [(number, change.is_firing) for change in book.observe({rule.name: value}, number * MINUTE)]
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.02, 0.0, 0.02, 0.0], []),  # one sample is an accident
        ([0.02, 0.02], [(1, True)]),
        ([0.02, 0.02, 0.02, 0.02], [(1, True)]),  # it fires once
        ([0.02, 0.02, 0.007, 0.007, 0.007], [(1, True)]),  # better, but not well
        ([0.02, 0.02, 0.005, 0.02, 0.005, 0.005], [(1, True), (5, False)]),
        ([0.02, 0.02, None, None], [(1, True), (3, False)]),  # nobody asks any more: nobody is refused
        ([None, None, None], []),  # idle
        ([0.01, 0.01, 0.01], []),  # at the threshold is not above it
        ([0.02, 0.009, 0.02, 0.009, 0.02, 0.009], []),  # it swings, and alarms nobody
        ([0.02, 0.02, 0.009, 0.02, 0.009, 0.02], [(1, True)]),  # it swings, and alarms once
    ],
)
def test_fires_stays_and_is_over(values: list[float | None], expected: list[tuple[int, bool]]) -> None:
    """Above the threshold twice: it fires. At or below the lower level twice: it is over. Nothing in between."""
    assert changes(values) == expected


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=60))
def test_takes_turns(values: list[float | None]) -> None:
    """Whatever happens: begins and ends take turns, the first is a begin, and two are at least two samples apart."""
    found = changes(values)
    assert [is_firing for _, is_firing in found] == [number % 2 == 0 for number in range(len(found))]
    moments = [-1, *(number for number, _ in found)]
    assert all(later - earlier >= RULE.in_a_row for earlier, later in pairwise(moments))


def test_what_fires_is_listed() -> None:
    """With its value of the last sample and since when; the one that is over says how long it was."""
    other = AlertRule(name="full", text="full", threshold=10, clear_at=8, in_a_row=1)
    book = AlertBook([other, RULE])
    book.observe({"errors": 0.5, "full": 0}, 0)
    book.observe({"errors": 0.5, "full": 12}, 60)
    book.observe({"errors": 0.4}, 120)  # the other one was not looked at: it stays as it was
    assert [(alert.rule.name, alert.value, alert.since) for alert in book.firing] == [
        ("full", 12, 60),
        ("errors", 0.4, 60),
    ]
    [over] = book.observe({"full": 8}, 180)
    assert (over.is_firing, over.since, over.at) == (False, 60, 180)
    assert [alert.rule.name for alert in book.firing] == ["errors"]


def test_a_rule_that_can_not_clear() -> None:
    """A rule that would clear above where it fires is refused: it would fire and clear at once."""
    with pytest.raises(ValueError, match="errors"):
        AlertRule(name="errors", text="", threshold=1, clear_at=2)


def outage_after(healthy_minutes: int) -> list[tuple[int, int]]:
    """Totals of requests and errors, minute by minute, at 10 requests a second; for two minutes all of them fail."""
    failing = range(healthy_minutes, healthy_minutes + 2)
    return [((minute + 1) * 600, 600 * sum(m <= minute for m in failing)) for minute in range(healthy_minutes + 20)]


def test_an_outage_shows_in_a_window() -> None:
    """It fires in the outage and is over after it, on the first day as on the hundredth.

    The average over the whole life, on the same record, never is over on the first day, and later never fires.
    """
    for healthy_minutes in (40, 10_000):
        window, shares = SlidingWindow(MINUTE), []
        for minute, (requests, errors) in enumerate(outage_after(healthy_minutes)):
            window.add(minute * MINUTE, {"requests": requests, "errors": errors})
            shares.append(window.share("errors", "requests"))
        assert changes(shares) == [(healthy_minutes + 1, True), (healthy_minutes + 3, False)]
    assert changes([errors / requests for requests, errors in outage_after(40)]) == [(41, True)]
    assert changes([errors / requests for requests, errors in outage_after(20_000)]) == []


def test_rates_of_an_idle_server() -> None:
    """No sample, one, or two in the same instant: a rate is 0 and a share is unknown. Nothing is divided by 0."""
    window = SlidingWindow(10)
    assert (window.per_second("requests"), window.share("errors", "requests")) == (0.0, None)
    for _ in range(2):
        window.add(5.0, {"requests": 3, "errors": 1})
        assert (window.per_second("requests"), window.share("errors", "requests")) == (0.0, None)
    window.add(10.0, {"requests": 3, "errors": 1})
    assert (window.per_second("requests"), window.share("errors", "requests")) == (0.0, None)


def test_a_window_forgets() -> None:
    """Only the last ``window_s`` seconds count, however the samples are spaced; and a few tries make no trend."""
    window = SlidingWindow(10)
    for second in range(100):
        window.add(second, {"requests": second * 5, "errors": min(second, 50)})
    assert window.span_s == 10
    assert window.per_second("requests") == 5
    assert window.share("errors", "requests") == 0
    assert window.share("errors", "requests", at_least=51) is None
    window.add(1000, {"requests": 1000, "errors": 50})
    assert window.span_s == 901  # nothing was sampled meanwhile: the window is as short as it can be
