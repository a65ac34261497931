"""A right monitor, sample by sample. Runs nothing of a learner's."""

from typing import NamedTuple

Sample = list[float]


class Watch(NamedTuple):
    """What a monitor is told when it is made."""

    window_s: float
    at_least: float
    fire_above: float
    clear_at: float
    in_a_row: int


class Model:
    """What is right after each sample."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.samples: list[Sample] = []
        self.rate: float | None = None
        self.is_firing = False
        self.streak = 0
        """Samples in a row that speak for a change."""
        self.above = 0
        """Samples above ``fire_above`` so far."""

    def sample(self, now: float, asked: float, errors: float) -> str | None:
        """What is to be said."""
        self.samples.append([now, asked, errors])
        self.rate = self.share_since(self._edge(now))
        self.above += self.rate is not None and self.rate > self.watch.fire_above
        self.streak = self.streak + 1 if self._speaks_for_change() else 0
        if self.streak < self.watch.in_a_row:
            return None
        self.streak = 0
        self.is_firing = not self.is_firing
        return "fires" if self.is_firing else "over"

    def share_since(self, then: Sample) -> float | None:
        """The share of errors from a sample to the last one."""
        _, asked, errors = self.samples[-1]
        tried = asked - then[1]
        return (errors - then[2]) / tried if tried >= max(self.watch.at_least, 1) else None

    @property
    def asked_in_window(self) -> float:
        """How much was asked for in the window."""
        return self.samples[-1][1] - self._edge(self.samples[-1][0])[1]

    @property
    def is_window_filled(self) -> bool:
        """Whether there is a sample as old as the window."""
        return self._edge(self.samples[-1][0])[0] <= self.samples[-1][0] - self.watch.window_s

    def _edge(self, now: float) -> Sample:
        """The newest sample that is as old as the window; the oldest while there is none."""
        old = [one for one in self.samples if one[0] <= now - self.watch.window_s]
        return old[-1] if old else self.samples[0]

    def _speaks_for_change(self) -> bool:
        if self.is_firing:
            return self.rate is None or self.rate <= self.watch.clear_at
        return self.rate is not None and self.rate > self.watch.fire_above
