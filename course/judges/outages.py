"""Traces as monitors record them when something breaks: totals of what was asked for, and of what failed.

Each is made anew from a random source: other rates, other lengths, another start. A trace is a list of
``[now, asked, errors]``.
"""

import random
from collections.abc import Iterable
from typing import NamedTuple

Trace = list[list[float]]


class Rates(NamedTuple):
    """How a server is watched, and how busy it is."""

    interval_s: int
    samples_in_window: int
    at_least: int
    fire_above: float
    clear_at: float
    in_a_row: int
    asked: int
    """Between two samples."""

    @property
    def window_s(self) -> int:
        """The window holds so many intervals."""
        return self.interval_s * self.samples_in_window


def rates(source: random.Random) -> Rates:
    """In each, one bad interval leaves the window before it makes an alert."""
    in_window = source.randint(2, 4)
    fire_above = source.choice([0.05, 0.1, 0.2])
    return Rates(
        interval_s=source.choice([5, 10, 15]),
        samples_in_window=in_window,
        at_least=source.choice([10, 20, 40]),
        fire_above=fire_above,
        clear_at=fire_above / 4,
        in_a_row=in_window + 1,
        asked=source.randint(100, 900),
    )


class Recorder:
    """Adds up, interval by interval."""

    def __init__(self, source: random.Random, watched: Rates) -> None:
        self._source = source
        self._watched = watched
        self._now = 0
        self._asked = 0
        self._errors = 0
        self.trace: Trace = []

    def long_ago(self, days: int) -> None:
        """The server has been up for so long, and calm."""
        self._asked = days * 86_400 // self._watched.interval_s * self._watched.asked
        self._errors = self._asked // 2_000
        self.trace = [[self._now, self._asked, self._errors]]

    def intervals(self, shares: Iterable[float], *, busy: float = 1.0) -> None:
        """One for each share of errors; ``busy`` times as many things are asked for as usual."""
        for share in shares:
            asked = round(self._watched.asked * busy * self._source.uniform(0.8, 1.2))
            self.asked(asked, round(asked * share))

    def asked(self, number: int, failed: int, *, after: int = 1) -> None:
        """A sample ``after`` so many intervals."""
        self._now += self._watched.interval_s * after
        self._asked += number
        self._errors += failed
        self.trace.append([self._now, self._asked, self._errors])


def _calm(source: random.Random) -> list[float]:
    return [source.choice([0, 0, 0.002]) for _ in range(source.randint(8, 20))]


def _ruin(source: random.Random, shortest: int = 12) -> list[float]:
    return [source.uniform(0.4, 0.9) for _ in range(source.randint(shortest, shortest + 12))]


def after_a_long_calm(source: random.Random, watched: Rates) -> Trace:
    """The database is gone for some minutes, after weeks without a fault."""
    made = Recorder(source, watched)
    made.long_ago(source.randint(3, 40))
    made.intervals([*_calm(source), *_ruin(source), *_calm(source)])
    return made.trace


def one_bad_moment(source: random.Random, watched: Rates) -> Trace:
    """A restart of something behind: one interval, then all is well."""
    made = Recorder(source, watched)
    made.long_ago(1)
    made.intervals([*_calm(source), source.uniform(0.7, 1), *_calm(source)])
    return made.trace


def a_quiet_night(source: random.Random, watched: Rates) -> Trace:
    """Nobody asks for anything; now and then one user comes along, and fails."""
    made = Recorder(source, watched)
    made.long_ago(2)
    for _ in range(source.randint(30, 50)):
        few = source.choice([0, 0, 0, 0, 1])
        made.asked(few, few)
    return made.trace


def about_the_threshold(source: random.Random, watched: Rates) -> Trace:
    """A service behind is overloaded: bad, a little better, bad again, for a long time."""
    made = Recorder(source, watched)
    made.long_ago(5)
    made.intervals(_calm(source))
    length = 2 * watched.in_a_row
    for _ in range(source.randint(4, 7)):
        made.intervals([watched.fire_above * 2] * length)
        made.intervals([(watched.fire_above + watched.clear_at) / 2] * length)
    made.intervals(_calm(source))
    return made.trace


def everybody_gone(source: random.Random, watched: Rates) -> Trace:
    """Errors first, then nobody gets through at all; then all come back at once, into the same fault."""
    made = Recorder(source, watched)
    made.long_ago(source.randint(1, 9))
    made.intervals([*_calm(source), *_ruin(source)])
    for _ in range(source.randint(15, 25)):
        made.asked(0, 0)
    made.intervals(_ruin(source), busy=3)
    made.intervals(_calm(source))
    return made.trace


def slowly_worse(source: random.Random, watched: Rates) -> Trace:
    """A leak: a little more fails from interval to interval, until somebody restarts it."""
    made = Recorder(source, watched)
    made.long_ago(source.randint(1, 9))
    steps = source.randint(20, 30)
    made.intervals([*_calm(source), *(number / steps for number in range(steps)), *_calm(source)])
    return made.trace


def nobody_watched(source: random.Random, watched: Rates) -> Trace:
    """The machine hangs in the middle of an outage, and the monitor with it: a long time without a sample."""
    made = Recorder(source, watched)
    made.long_ago(source.randint(1, 9))
    made.intervals([*_calm(source), *_ruin(source)])
    gap = source.randint(10, 40)
    made.asked(watched.asked * gap, watched.asked * gap // 2, after=gap)
    made.intervals([*_ruin(source), *_calm(source)])
    return made.trace


KINDS = {
    "a long calm, then an outage": after_a_long_calm,
    "one bad moment": one_bad_moment,
    "a quiet night": a_quiet_night,
    "about the threshold": about_the_threshold,
    "everybody gone, then back": everybody_gone,
    "slowly worse": slowly_worse,
    "an outage that nobody watched for a while": nobody_watched,
}
