"""Writes what was measured into ``docs/performance.md``: ``python -m benchmarks.page BENCH.json``

``BENCH.json`` is what ``course bench`` wrote; its plot, of the same name and with the ending ``.svg``, is copied beside
the page. What the other measurements wrote is given by name, or taken from ``benchmarks/results/``.
"""

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import spread
from benchmarks.marked import rewritten
from benchmarks.plan import Scenario
from course.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
RESULTS = ROOT / "benchmarks" / "results"

SHOWN = (
    "![Bars: processor time a delivery for each system; lines: how it grows with the members of a room]"
    "(performance.svg)"
)

Cell = Callable[[str], str]


def written(page: str, bench: dict[str, Any], ladder: dict[str, Any] | None, stalled: dict[str, Any] | None) -> str:
    """The page with these figures; what was not measured stays as it is. Raises ``UserError`` where a mark lacks."""
    page = rewritten(page, "page: bench", bench_text(bench))
    if ladder is not None:
        page = rewritten(page, "page: ladder", ladder_text(ladder))
    return page if stalled is None else rewritten(page, "page: stalled reader", stalled_text(stalled))


def bench_text(found: dict[str, Any]) -> str:
    """Where it was measured, the table, and what went wrong."""
    machine, plan, systems = found["machine"], found["plan"], found["systems"]
    python = found["versions"].get("ours", {}).get("python", "?")
    where = (
        f"Measured {found['date'][:10]} on {machine['cores']} cores of {machine['processor']}, Python {python}, "
        f"{machine['redis']}; {plan['rounds']} rounds of {plan['seconds']:g} s, medians, and the range of all rounds."
    )
    lines = [f"| | {' | '.join(systems.values())} |", "|---|" + "---:|" * len(systems)]
    for name, cell in _rows(found):
        cells = map(cell, systems) if cell else [""] * len(systems)
        lines.append(f"| {name if cell else f'**{name}**'} | {' | '.join(cells)} |")
    lines += ["", "As a multiple of the first column:", "", *_multiples(found)]
    problems = [f"- {line}" for line in found["problems"]]
    said = ["Rounds that are not to be quoted:", "", *problems] if problems else ["No round had a fault."]
    return "\n".join([where, "", *lines, "", SHOWN, "", *said])


def ladder_text(found: dict[str, Any]) -> str:
    """Each step, and what it saves of the one before it."""
    lines = ["| step | µs a delivery | of the step before |", "|---|---:|---:|"]
    before: float | None = None
    for name, cost in found["us_per_delivery"].items():
        share = f"{100 * cost / before:.0f} %" if before is not None and cost <= before else ""  # else it does more
        lines.append(f"| {name} | {cost:.1f} | {share} |")
        before = cost
    return "\n".join([f"Measured {found['date'][:10]}.", "", *lines])


def stalled_text(found: dict[str, Any]) -> str:
    """The delays of those who read."""
    lines = ["| | p50 ms | p99 ms | MiB more | the staller was closed with |", "|---|---:|---:|---:|---|"]
    for kind, one in found["kinds"].items():
        codes = ", ".join("not closed" if code is None else str(code) for code in one["closed_with"])
        lines.append(f"| {kind} | {one['p50_ms']:.2f} | {one['p99_ms']:.2f} | {one['mib']:.1f} | {codes} |")
    return "\n".join([f"Measured {found['date'][:10]}.", "", *lines])


def _scenarios(found: dict[str, Any]) -> list[Scenario]:
    """In the order of the page."""
    scenarios = dict.fromkeys(Scenario(**one["shape"]) for one in found["rounds"])
    return sorted(
        scenarios, key=lambda one: (one.instances != 2, one.rooms * one.members, one.rooms, one.outstanding or 99)
    )


def _rows(found: dict[str, Any]) -> list[tuple[str, Cell | None]]:
    """Each row's name, and what it shows for a system; without that, the name of a section."""
    scenarios = _scenarios(found)
    idle = found["kib_per_idle_connection"]
    lines = found["per_message_and_delivery_us"]
    rows: list[tuple[str, Cell | None]] = [("server CPU, µs a delivery", None)]
    rows += [(one.name, _of(found, one, "server_us")) for one in scenarios]
    for paced in [one for one in scenarios if one.load == "paced"][:1]:
        rows += [
            (f"at {paced.name}", None),
            ("p50, ms", _of(found, paced, "p50_ms")),
            ("p99, ms", _of(found, paced, "p99_ms")),
            ("Redis commands a message", _of(found, paced, "redis_commands")),
            ("Redis bytes a message", _of(found, paced, "redis_bytes")),
            ("Redis CPU, µs a delivery", _of(found, paced, "redis_us")),
        ]
    rows += [
        ("growth", None),
        ("a message by itself, µs", lambda system: _line(lines.get(system), 0)),
        ("each member, µs", lambda system: _line(lines.get(system), 1)),
        ("KiB per idle connection", lambda system: _cell(idle.get(system, []))),
    ]
    return rows


def _multiples(found: dict[str, Any]) -> list[str]:
    """What a delivery costs each system, divided by what it costs the first one; of medians."""
    first, *others = found["systems"]
    costs = defaultdict[tuple[str, str], list[float]](list)
    for one in found["rounds"]:
        costs[one["system"], one["scenario"]].append(one["server_us"])
    medians = {key: median(values) for key, values in costs.items()}
    lines = [f"| | {' | '.join(found['systems'][other] for other in others)} |", "|---|" + "---:|" * len(others)]
    for name in [one.name for one in _scenarios(found)]:
        ours = medians.get((first, name))
        theirs = [medians.get((other, name)) for other in others]
        cells = ["–" if ours is None or cost is None else f"{cost / ours:.1f}" for cost in theirs]
        lines.append(f"| x {name} | {' | '.join(cells)} |")
    return lines


def _of(found: dict[str, Any], scenario: Scenario, column: str) -> Cell:
    name = scenario.name

    def cell(system: str) -> str:
        return _cell([one[column] for one in found["rounds"] if one["system"] == system and one["scenario"] == name])

    return cell


def _cell(values: list[float]) -> str:
    found = spread(values)
    if found is None:
        return "–"
    if found.low == found.high:
        return _number(found.median)
    return f"{_number(found.median)}<br><sub>{_number(found.low)}–{_number(found.high)}</sub>"


def _line(line: list[float] | None, place: int) -> str:
    return "–" if line is None else _number(max(0.0, line[place]))


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _read(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def run(bench: Path, ladder: Path, stalled: Path, page: Path = PAGE, picture: Path = PICTURE) -> None:
    """Writes the page, and the picture beside it. Raises ``UserError``."""
    found = _read(bench)
    if found is None:
        raise UserError(f"there is no {bench}; `course bench` writes one")
    page.write_text(written(page.read_text(), found, _read(ladder), _read(stalled)))
    shutil.copy(bench.with_suffix(".svg"), picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--ladder", type=Path, default=RESULTS / "ladder.json", help="of python -m benchmarks.ladder")
    parser.add_argument("--stalled", type=Path, default=RESULTS / "stalled_reader.json", help="of --json there")
    arguments = parser.parse_args()
    try:
        run(arguments.bench, arguments.ladder, arguments.stalled)
    except UserError as error:
        sys.exit(error.message)
