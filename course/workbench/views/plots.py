"""Plots of what was measured: latency and throughput. Matplotlib, offline; readable on light and dark pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#0a7a83", "#bf3989")
PERCENTILES = (50, 95, 99)
WIDTH, HEIGHT = 8.0, 2.6


def latency(series: Mapping[str, Sequence[float]], *, title: str = "", axes: Axes | None = None) -> Axes:
    """How many of 100 were at least that fast: one curve for each name, from its latencies in milliseconds.

    The x axis is logarithmic: a tail ten times as long as the middle is seen beside it. Dots are the median,
    p95 and p99. A series without a value is named and has no curve.
    """
    axes = axes or _axes()
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        ordered = sorted(values)
        if not ordered:
            axes.plot([], [], color=colour, label=f"{name}: nothing measured")
            continue
        shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
        marks = [percentile(ordered, share) for share in PERCENTILES]
        about = " / ".join(f"{mark:.3g}" for mark in marks)
        axes.step([ordered[0], *ordered], [0, *shares], where="post", color=colour, label=f"{name}: {about} ms")
        axes.plot(marks, PERCENTILES, "o", color=colour, markersize=4)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds (median / p95 / p99 in the legend)")
    axes.set_ylabel("percent done")
    return _finish(axes, title)


def throughput(
    series: Mapping[str, Iterable[float]],
    *,
    window_s: float = 1.0,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Events a second over time: one line for each name, from the moments of its events in seconds.

    ``marks`` are moments with a name: a fault, a restart. Windows without an event count as zero.
    """
    axes = axes or _axes()
    for number, (name, moments) in enumerate(series.items()):
        starts, rates = rate(moments, window_s)
        axes.step(starts, rates, where="post", color=COLOURS[number % len(COLOURS)], label=name)
    for name, moment in (marks or {}).items():
        axes.axvline(moment, color="#cf222e", linestyle=":", linewidth=1)
        axes.annotate(
            name, (moment, 1), xycoords=("data", "axes fraction"), xytext=(3, -10), textcoords="offset points",
            color="#cf222e", fontsize=8,
        )  # fmt: skip
    axes.set_xlabel("seconds")
    axes.set_ylabel("a second")
    axes.set_ylim(bottom=0)
    return _finish(axes, title)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` percent of the ordered values do not exceed."""
    place = -(-len(ordered) * share // 100)  # rounded up
    return ordered[max(0, min(len(ordered) - 1, int(place) - 1))]


def rate(moments: Iterable[float], window_s: float) -> tuple[list[float], list[float]]:
    """Each window's start, and the events a second in it. The last window is closed by a zero behind it."""
    ordered = sorted(moments)
    if not ordered:
        return [], []
    first = ordered[0] // window_s
    counts = [0] * (int(ordered[-1] // window_s - first) + 1)
    for moment in ordered:
        counts[int(moment // window_s - first)] += 1
    starts = [(first + number) * window_s for number in range(len(counts) + 1)]
    return starts, [*(count / window_s for count in counts), 0.0]


def _axes() -> Axes:
    return plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")[1]


def _finish(axes: Any, title: str) -> Axes:
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    found: Axes = axes
    return found
