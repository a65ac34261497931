"""Durations by bucket."""

import pytest

from reference_impl.model.histogram import SECONDS, Histogram, quantile


def test_buckets() -> None:
    """Each duration falls into the first bucket that holds it; Prometheus is told how many are at or below."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, 1]
    assert histogram.cumulative() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == pytest.approx(7.65)


def test_quantiles() -> None:
    """To within a bucket; of none there is none, and of what is beyond all bounds only the last bound is known."""
    histogram = Histogram()
    assert quantile(histogram.counts, 0.5) is None
    for _ in range(99):
        histogram.observe(0.004)
    histogram.observe(60)
    middle, last = quantile(histogram.counts, 0.5), quantile(histogram.counts, 1.0)
    assert middle is not None
    assert 0.0025 <= middle <= 0.005
    assert last == SECONDS[-1]
