"""The two pictures of ``docs/scaling.md``, in one file."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import COLOURS
from benchmarks.scaling import Constants, Workload, bounds, hearing
from benchmarks.scaling_text import growth

CONNECTIONS = [round(10**power) for power in np.linspace(3, 6.3, 12)]
MEMBERS = [round(10**power) for power in np.linspace(0.3, 5, 60)]


def picture(found: dict[str, Any], load: Workload) -> Figure:
    """How many instances each part needs, and what a message costs by the size of its conversation."""
    cost = Constants.from_measured(found["constants"])
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "scaling"}):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        instances, message = figure.subplots(1, 2)
        _instances(instances, cost, load)
        wanted = [count for count in bounds(cost, load).values() if count is not None]
        _message(message, cost, max(wanted, default=1))
        return figure


def _instances(axes: Axes, cost: Constants, load: Workload) -> None:
    for number, (name, counts) in enumerate(growth(cost, load, CONNECTIONS).items()):
        known = [(size, count) for size, count in zip(CONNECTIONS, counts, strict=True) if count is not None]
        colour = "black" if "all" in name else COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*known, strict=True), "o-", color=colour, markersize=3, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel("instances needed")
    axes.legend(frameon=False)


def _message(axes: Axes, cost: Constants, instances: int) -> None:
    members = np.array(MEMBERS)
    heard = np.array([hearing(instances, one) for one in MEMBERS])
    shares = {
        "by itself": np.full(len(members), cost.message_us),
        "each instance that hears it": heard * cost.hearing_us,
        "each delivery": (members - 1) * cost.delivery_us,
        "afterwards, where few speak": cost.after_message_us + (members - 1) * cost.after_delivery_us,
    }
    for number, (name, us) in enumerate(shares.items()):
        axes.plot(members, us / 1000, color=COLOURS[number], label=name)
    axes.plot(members, sum(shares.values()) / 1000, "k", label="together")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"connected members of the conversation, {instances} instances")
    axes.set_ylabel("ms of processor time, one message")
    axes.legend(frameon=False)
