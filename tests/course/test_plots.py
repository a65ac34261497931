"""The plots of latency and throughput: what they compute, and that they draw it."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from course.workbench.views.plots import latency, percentile, rate, throughput


@pytest.fixture(autouse=True)
def no_window() -> None:
    """Draws into memory."""
    mpl.use("agg")


@pytest.mark.parametrize(("share", "value"), [(0, 1.0), (50, 2.0), (75, 3.0), (99, 4.0), (100, 4.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    """The smallest one that this share does not exceed; no value is made up between two."""
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == value
    assert percentile([7.0], share) == 7.0


def test_a_window_without_events_counts() -> None:
    """An outage is a zero in the curve, not a gap in it."""
    assert rate([0.1, 0.2, 2.5], 1.0) == ([0.0, 1.0, 2.0, 3.0], [2.0, 0.0, 1.0, 0.0])
    assert rate([0.25, 0.3], 0.5) == ([0.0, 0.5], [4.0, 0.0])
    assert rate([], 1.0) == ([], [])


def test_both_draw_what_they_are_given() -> None:
    """A curve for each name, an empty one named, marks at their moments; on axes of one's own, too."""
    figure, (left, right) = plt.subplots(1, 2)
    assert latency({"far": [1.0, 2.0, 50.0], "none": []}, axes=left) is left
    assert left.get_legend_handles_labels()[1] == ["far: 2 / 50 / 50 ms", "none: nothing measured"]
    assert throughput({"sent": [0.1, 0.2, 2.5]}, marks={"killed": 1.5}, axes=right) is right
    assert "killed" in [text.get_text() for text in right.texts]
    figure.canvas.draw()
    assert latency({"alone": [1.0]}).figure is not figure
    plt.close("all")
