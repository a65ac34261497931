"""What was measured, for people and for programs: a table, a picture, a file."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.figures import Measured, Spread, per_message_and_delivery, spread
from benchmarks.measure import Results
from benchmarks.plan import PACED_DELIVERIES, Plan, Scenario
from benchmarks.systems import System
from course.workbench.redis_server import find_redis

COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#0a7a83", "#bf3989", "#6e7781", "#1f2328")


def table(plan: Plan, systems: list[System], results: Results) -> Table:
    """A column for each system; medians, and the range of all rounds below them."""
    shown = Table(title="Two instances, one Redis; rooms x members, W: messages outstanding in each room")
    shown.add_column("server CPU, µs a delivery", no_wrap=True)
    for system in systems:
        shown.add_column(system.label, justify="right")
    for name, cell in _rows(plan, results):
        if cell is None:
            shown.add_section()
            shown.add_row(f"[bold]{name}[/]")
        else:
            shown.add_row(name, *map(cell, systems))
    return shown


def document(
    plan: Plan, systems: list[System], results: Results, versions: dict[str, Any], seed: int, machine: dict[str, Any]
) -> dict[str, Any]:
    """All of it, round by round."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "versions": versions,
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds, "seed": seed, "paced": PACED_DELIVERIES},
        "systems": {one.key: one.label for one in systems},
        "rounds": [
            asdict(one) | {"scenario": one.scenario.name, "shape": asdict(one.scenario)} for one in results.measured
        ],
        "kib_per_idle_connection": results.idle,
        "per_message_and_delivery_us": {one.key: _line(one, results) for one in systems},
        "problems": results.problems,
    }


def write(folder: Path, found: dict[str, Any], picture: Figure) -> list[Path]:
    """Three files in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"bench-{found['date'].replace(':', '').split('+')[0]}"
    paths = [folder / f"{stem}{ending}" for ending in (".json", ".png", ".svg")]
    paths[0].write_text(json.dumps(found, indent=1) + "\n")
    for path in paths[1:]:
        picture.savefig(path, dpi=120)
    return paths


def this_machine() -> dict[str, Any]:
    """What the figures depend on. The load is that of the last minute."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        processor = models[0] if models else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "redis": Path(find_redis().detail).name,  # where it lies is nobody's business
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def plot(plan: Plan, systems: list[System], results: Results) -> Figure:
    """CPU per delivery: bars for each load of 1x100 (or what there is), and how it grows with members."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(12, 4.2), layout="constrained")
        bars, growth = figure.subplots(1, 2, width_ratios=(3, 2))
        scenarios = [one for one in plan.scenarios if one.shape == "1x100" and one.instances == 2] or plan.scenarios[:3]
        height = 0.8 / len(scenarios)
        for place, scenario in enumerate(scenarios):
            for row, system in enumerate(systems):
                found = _spread_of(results, system, scenario, lambda one: one.server_us)
                if found is None:
                    continue
                error = [[found.median - found.low], [found.high - found.median]]
                bars.barh(
                    row + (place - (len(scenarios) - 1) / 2) * height, found.median, height, xerr=error,
                    color=COLOURS[place % len(COLOURS)], label=scenario.name if row == 0 else None,
                )  # fmt: skip
        bars.set_yticks(range(len(systems)), [one.label for one in systems])
        bars.invert_yaxis()
        bars.set_xscale("log")
        bars.set_xlabel("server CPU, µs per delivery (median and range; less is better)")
        if bars.get_legend_handles_labels()[0]:
            bars.legend(frameon=False)
        for number, system in enumerate(systems):
            if points := _points(system, results):
                growth.plot(*zip(*points, strict=True), "o-", color=COLOURS[number % len(COLOURS)], label=system.label)
        growth.set_xscale("log")
        growth.set_yscale("log")
        growth.set_xlabel("members of one room, W1")
        growth.set_ylabel("µs per delivery")
        if growth.get_legend_handles_labels()[0]:
            growth.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return figure


def _rows(plan: Plan, results: Results) -> list[tuple[str, Callable[[System], str] | None]]:
    """Each row's name, and what it shows for a system; without that, the name of a section."""
    paced = next((one for one in plan.scenarios if one.load == "paced"), plan.scenarios[0])

    def of(scenario: Scenario, column: Callable[[Measured], float]) -> Callable[[System], str]:
        return lambda system: _shown(_spread_of(results, system, scenario, column))

    rows: list[tuple[str, Callable[[System], str] | None]] = [
        (one.name, of(one, lambda found: found.server_us)) for one in plan.scenarios
    ]
    rows += [
        (f"at {paced.name}", None),
        ("p50 ms", of(paced, lambda one: one.p50_ms)),
        ("p99 ms", of(paced, lambda one: one.p99_ms)),
        ("Redis commands a message", of(paced, lambda one: one.redis_commands)),
        ("Redis bytes a message", of(paced, lambda one: one.redis_bytes)),
        ("Redis CPU, µs a delivery", of(paced, lambda one: one.redis_us)),
        ("generator CPU, µs a delivery", of(paced, lambda one: one.generator_us)),
        ("growth, 1 room, W1", None),
        ("µs a message by itself", lambda system: _shown_line(_line(system, results), 0)),
        ("µs each member adds", lambda system: _shown_line(_line(system, results), 1)),
        ("and", None),
        ("KiB per idle connection", lambda system: _shown(spread(results.idle.get(system.key, ())))),
        ("faults", lambda system: _faults(system, results)),
    ]
    return rows


def _faults(system: System, results: Results) -> str:
    count = sum(problem.startswith(system.label + ",") for problem in results.problems)
    return f"[bold red]{count}[/]" if count else "none"


def _shown_line(line: tuple[float, float] | None, place: int) -> str:
    """A message's own cost can be lost in the noise of its many deliveries: then it is shown as nothing."""
    return "-" if line is None else _number(max(0.0, line[place]))


def _line(system: System, results: Results) -> tuple[float, float] | None:
    return per_message_and_delivery([(round(members), each) for members, each in _points(system, results)])


def _points(system: System, results: Results) -> list[tuple[float, float]]:
    """Members, and the median cost of a delivery to them: one room, one message at a time, two instances."""
    by_members: dict[int, list[float]] = {}
    for one in results.measured:
        here = one.scenario
        if one.system == system.key and (here.rooms, here.outstanding, here.instances) == (1, 1, 2):
            by_members.setdefault(here.members, []).append(one.server_us)
    return [(members, statistics.median(costs)) for members, costs in sorted(by_members.items())]


def _spread_of(
    results: Results, system: System, scenario: Scenario, column: Callable[[Measured], float]
) -> Spread | None:
    found: Iterable[Measured] = results.measured
    return spread(column(one) for one in found if one.system == system.key and one.scenario == scenario)


def _shown(found: Spread | None) -> str:
    """The median, and below it from where to where."""
    if found is None:
        return "-"
    if found.low == found.high:
        return _number(found.median)
    return f"{_number(found.median)}\n[dim]{_number(found.low)}-{_number(found.high)}[/]"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
