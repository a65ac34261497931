"""What this server alarms its operators about."""

from collections.abc import Iterable
from dataclasses import dataclass

from reference_impl.model.alert_rules import AlertRule

MIN_ASKED = 20
"""So many things must have been asked for before a share of errors means anything."""

NEARLY_FULL = 0.9


@dataclass(frozen=True, kw_only=True)
class AlertThresholds:
    """Above these it alarms; settable, since what is much for one system is nothing for another."""

    connections: int = 1000
    error_rate: float = 0.01
    """Share of what clients asked for that was refused or failed."""
    dead_letters: int = 0
    slow_consumers: float = 10
    """Connections closed for reading too slowly, per minute."""
    outbox_lag_s: float = 10


def chat_alerts(thresholds: AlertThresholds, parts: Iterable[str]) -> list[AlertRule]:
    """One rule each, and one for every part that this instance leans on."""
    connections, errors, lag_s = thresholds.connections, thresholds.error_rate, thresholds.outbox_lag_s
    slow = thresholds.slow_consumers
    return [
        _rule("connections", f"more than {connections} connections on this instance", connections, is_error=False),
        # A limit of 1000 connections and an alert above 1000 never meet. This one comes before the limit does.
        _rule("instance_full", "this instance is nearly full; the next users are refused", NEARLY_FULL, is_error=False),
        _rule("error_rate", f"more than {errors:.1%} of what is asked for is refused or fails", errors, clear=0.5),
        _rule(
            "dead_letters", "background work was given up; `course dead-letters list` says why", thresholds.dead_letters
        ),
        _rule(
            "slow_consumers",
            f"more than {slow:g} connections a minute read too slowly",
            slow,
            is_error=False,
            clear=0.5,
        ),
        _rule(
            "outbox_lag", f"stored messages have been waiting for over {lag_s:g} s to be announced", lag_s, clear=0.5
        ),
        # One sample is enough: it has been silent for several posts already.
        _rule("instance_gone", "an instance was not heard of any more, and did not stop in order", 0, in_a_row=1),
        *(_rule(f"{part}_away", f"{part}: away, or failing", 0.5) for part in parts),
    ]


def _rule(
    name: str, text: str, threshold: float, *, is_error: bool = True, clear: float = 0.9, in_a_row: int = 2
) -> AlertRule:
    clear_at = threshold * clear
    return AlertRule(name=name, text=text, threshold=threshold, clear_at=clear_at, is_error=is_error, in_a_row=in_a_row)
