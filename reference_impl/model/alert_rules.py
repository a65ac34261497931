"""When to alarm somebody, and when to say that it is over. Decides; tells nobody."""

from dataclasses import dataclass, field
from enum import Enum


class AlertAction(Enum):
    """What is done when an alert fires, and when it is over."""

    LOG = "log"
    """A line, and nothing else happens."""
    EVENT = "event"
    WEBHOOK = "webhook"


USUAL_ACTIONS = frozenset({AlertAction.EVENT, AlertAction.WEBHOOK})
"""Every event about the system is in the log, too: ``audit_log.py`` sees to it."""


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """Fires when a value has been above ``threshold`` in ``in_a_row`` samples; is over when it has been at or below
    ``clear_at`` in as many.

    One sample alarms nobody: it may be an accident. Two levels, so that a value which swings about the threshold
    gives one alert, and not one a minute.
    """

    name: str
    text: str
    """What it means, to an operator."""
    threshold: float
    clear_at: float
    in_a_row: int = 2
    is_error: bool = True
    """Users are hurt now; otherwise they will be, if nobody looks."""
    actions: frozenset[AlertAction] = USUAL_ACTIONS

    def __post_init__(self) -> None:
        if self.clear_at > self.threshold or self.in_a_row < 1:
            raise ValueError(f"{self.name}: it must clear at or below where it fires, after 1 sample or more")


@dataclass(frozen=True)
class AlertChange:
    """An alert that begins (``is_firing``) or is over. ``since`` and ``at`` are seconds on the sampler's clock."""

    rule: AlertRule
    is_firing: bool
    value: float
    since: float
    at: float


@dataclass
class _State:
    since: float | None = None  # set while it fires
    value: float = 0.0
    streak: int = 0  # samples in a row that speak for a change


@dataclass
class AlertBook:
    """All rules of an instance, and which of them fire."""

    rules: list[AlertRule]
    _states: dict[str, _State] = field(default_factory=dict)

    def observe(self, values: dict[str, float | None], now: float) -> list[AlertChange]:
        """Takes one sample, rule name → value, and returns what has begun and what is over.

        None means that nothing can be said, since nothing happened; that speaks for calm. A rule that is not named
        keeps its state.
        """
        changes = [self._observe(rule, values[rule.name], now) for rule in self.rules if rule.name in values]
        return [change for change in changes if change is not None]

    @property
    def firing(self) -> list[AlertChange]:
        """The alerts that fire, each as it stood at the last sample; the longest first."""
        states = [(rule, self._states[rule.name]) for rule in self.rules if rule.name in self._states]
        alerts = [
            AlertChange(rule, is_firing=True, value=state.value, since=state.since, at=state.since)
            for rule, state in states
            if state.since is not None
        ]
        return sorted(alerts, key=lambda alert: alert.since)

    def _observe(self, rule: AlertRule, value: float | None, now: float) -> AlertChange | None:
        state = self._states.setdefault(rule.name, _State())
        state.value = value if value is not None else 0.0
        if state.since is None:
            speaks_for_change = value is not None and value > rule.threshold
        else:
            speaks_for_change = value is None or value <= rule.clear_at
        state.streak = state.streak + 1 if speaks_for_change else 0
        if state.streak < rule.in_a_row:
            return None
        state.streak = 0
        since, state.since = state.since, now if state.since is None else None
        return AlertChange(
            rule, is_firing=since is None, value=state.value, since=now if since is None else since, at=now
        )
