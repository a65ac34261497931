"""What `course bench` and the others write, on the page."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ladder, page, report
from benchmarks.figures import Faults, Measured
from benchmarks.measure import Results
from benchmarks.plan import Plan, Scenario
from benchmarks.stalled_reader import Round, summary
from benchmarks.systems import SYSTEMS
from course.errors import UserError

SCENARIOS = (Scenario(1, 100, 1), Scenario(1, 100, 0), Scenario(1, 10, 1))
PLAN = Plan(SCENARIOS, 2, 0, 1.5, None)
LADDER = {"date": "2026-01-02T03:04:05+00:00", "us_per_delivery": {"encode for each": 20.0, "encode once": 15.0}}
STALLED = {
    "date": "2026-01-02T03:04:05+00:00",
    "kinds": {"all read": {"p50_ms": 2.0, "p99_ms": 5.0, "mib": 1.0, "closed_with": [None]},
              "one stalls": {"p50_ms": 2.1, "p99_ms": 5.1, "mib": 2.0, "closed_with": [1013]}},
}  # fmt: skip


@pytest.fixture
def bench() -> dict[str, Any]:
    """As `course bench` writes it: two systems, two rounds, of which one has a fault."""
    measured = [
        Measured(key, number, scenario, 1.5, 10, 1000, cost + number, 0.5, 1.0, 2.0, 3.0, 1.0, 700.0, Faults())
        for key, cost in (("ours", 5.0), ("floor", 4.0))
        for number in range(2)
        for scenario in SCENARIOS
    ]
    results = Results(measured=measured, idle={"ours": [3.5]}, problems=["floor (Python), 1x100 W1, round 2: 1 lost"])
    systems = [SYSTEMS[0], SYSTEMS[-1]]
    found = report.document(PLAN, systems, results, {"ours": {"python": "3.11"}}, 1, report.this_machine())
    as_read: dict[str, Any] = json.loads(json.dumps(found))
    return as_read


def row(text: str, name: str) -> list[str]:
    """The cells of the table's row."""
    line = next(one for one in text.splitlines() if one.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_the_table_has_medians_and_ranges(bench: dict[str, Any]) -> None:
    """One column a system; what was not measured is a dash; faults are said."""
    text = page.bench_text(bench)
    assert row(text, "1x100 W1") == ["5.5<br><sub>5–6</sub>", "4.5<br><sub>4–5</sub>"]
    assert row(text, "KiB per idle connection") == ["3.5", "–"]
    assert row(text, "p50, ms") == ["2", "2"]
    assert row(text, "Redis commands a message") == ["1", "1"]
    assert row(text, "x 1x100 W1") == ["0.8"], "of the first column's 5.5"
    assert "2 rounds of 1.5 s" in text
    assert "- floor (Python), 1x100 W1, round 2: 1 lost" in text


def test_all_parts_of_the_real_page_are_written(bench: dict[str, Any], tmp_path: Path) -> None:
    """From files, twice the same, with the picture beside it. What was not measured stays."""
    copy, picture = tmp_path / "performance.md", tmp_path / "performance.svg"
    copy.write_text(page.PAGE.read_text())
    for name, content in (("bench.json", bench), ("ladder.json", LADDER), ("stalled.json", STALLED)):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "bench.svg").write_text("<svg/>")
    for _ in range(2):
        page.run(tmp_path / "bench.json", tmp_path / "ladder.json", tmp_path / "stalled.json", copy, picture)
    text = copy.read_text()
    assert row(text, "encode once") == ["15.0", "75 %"]
    assert row(text, "one stalls") == ["2.10", "5.10", "2.0", "1013"]
    assert text.count("| 1x100 W1 |") == 1
    assert picture.read_text() == "<svg/>"
    page.run(tmp_path / "bench.json", tmp_path / "none.json", tmp_path / "none.json", copy, picture)
    assert copy.read_text() == text
    with pytest.raises(UserError, match="course bench"):
        page.run(tmp_path / "none.json", tmp_path / "ladder.json", tmp_path / "stalled.json", copy, picture)


def test_the_ladder_is_that_of_the_chapter() -> None:
    """Its cells are found, and have the steps; none asks the learner anything."""
    sources = list(ladder.cells())
    assert "import asyncio" in sources[0]
    assert len(sources) == 1 + len(ladder.NEEDED)
    assert 'ladder["reference"]' in sources[-1]
    assert not any("predict(" in source for source in sources)


def test_a_chapter_without_a_ladder_is_said(tmp_path: Path) -> None:
    """Not a step less on the page, without a word."""
    notebook = tmp_path / "notebook.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["import json"]}]}))
    with pytest.raises(UserError, match="0 cells with 'def make_sender"):
        list(ladder.cells(notebook))


def test_a_stalled_round_is_summed_up() -> None:
    """Medians of the rounds, and how the staller ended."""
    rounds = [Round([1.0, 2.0, 3.0], 1.5, 1013), Round([2.0, 3.0, 4.0], 2.5, 1013)]
    found = summary(rounds)
    assert (found["p50_ms"], found["mib"], found["closed_with"]) == (2.5, 2.0, [1013])
