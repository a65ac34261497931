"""Rates of now, from totals that only grow."""

from collections import deque
from collections.abc import Mapping


class SlidingWindow:
    """Remembers totals for ``window_s`` seconds, and says how fast they grow.

    An average over the whole life says less every hour: after a day, two minutes of outage do not move it.
    ``now`` is seconds on one clock that never goes back.
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._samples: deque[tuple[float, Mapping[str, float]]] = deque()

    def add(self, now: float, totals: Mapping[str, float]) -> None:
        """Takes the totals of this moment."""
        self._samples.append((now, totals))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self.window_s:
            self._samples.popleft()  # the oldest that stays is the window's far edge

    @property
    def span_s(self) -> float:
        """How much of the window is filled: 0 before the second sample."""
        return self._samples[-1][0] - self._samples[0][0] if self._samples else 0.0

    def increase(self, name: str) -> float:
        """How much a total has grown within the window."""
        if not self._samples:
            return 0.0
        return self._samples[-1][1][name] - self._samples[0][1][name]

    def per_second(self, name: str) -> float:
        """How fast it grows; 0 as long as no time has passed."""
        return self.increase(name) / self.span_s if self.span_s > 0 else 0.0

    def share(self, part: str, whole: str, *, at_least: float = 1.0) -> float | None:
        """How much of the growth of ``whole`` was ``part``.

        None when ``whole`` has grown by less than ``at_least``: of nothing there is no share, and one failure of two
        tries is no trend.
        """
        tried = self.increase(whole)
        return self.increase(part) / tried if tried >= max(at_least, 1.0) else None
