"""How long things take, as counts by bucket: what it costs to note one does not grow with how many there were."""

from bisect import bisect_left
from collections.abc import Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets. The last one, for all that is longer, has none."""


class Histogram:
    """Counts of durations, in seconds."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """How many fell into each bucket, the one without a bound last."""
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Notes one: a search among a dozen bounds, and two additions."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' form: upper bound → how many were at or below it."""
        total, rows = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


def quantile(counts: Sequence[float], share: float, bounds: Sequence[float] = SECONDS) -> float | None:
    """The duration that ``share`` of them did not exceed, to within its bucket; None of none at all.

    Those in the bucket without a bound count as its lower one: it can not be said how long they were.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below, lower = 0.0, 0.0
    for count, bound in zip(counts, bounds, strict=False):
        if below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return bounds[-1]
