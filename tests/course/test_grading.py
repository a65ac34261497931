"""The whole way: a notebook in, points out; and every trick that must not raise a score."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from course.grader.generate import exercise
from course.grader.notebooks import answers_of, copied, grade_id, read, spliced, write
from course.grader.run import Result, grade
from course.manifest import ROOT, load

CHAPTER = load().chapter(1)
PRISTINE = exercise("01_basics")
SOLUTION = read(ROOT / "solutions" / "01_basics.ipynb")
SOLVED = answers_of(SOLUTION)


def graded(answers: dict[str, str], *, wall_clock_s: float = 60) -> dict[str, Result]:
    """The results for a notebook with these answers and stubs for the rest."""
    return by_id(grade(CHAPTER, PRISTINE, spliced(PRISTINE, answers), wall_clock_s=wall_clock_s))


def by_id(results: list[Result]) -> dict[str, Result]:
    return {result.check.id: result for result in results}


def points(results: dict[str, Result]) -> int:
    return sum(result.points for result in results.values())


def test_the_solution_gets_all_points() -> None:
    """20 of 20, every check a plain pass."""
    results = graded(SOLVED)
    assert [result.status for result in results.values()] == ["passed"] * 6
    assert points(results) == 20


def test_half_a_solution_gets_half() -> None:
    """An answer that is missing costs its own points and no others."""
    results = graded({"answer-1": SOLVED["answer-1"]})
    assert points(results) == 10
    assert {result.status for id_, result in results.items() if id_.startswith("2")} == {"missing"}


def test_a_wrong_answer_is_explained() -> None:
    """The failing property, the smallest case and the misconception come out of the grading process."""
    wrong = SOLVED["answer-1"].replace(
        "setdefault(user_id, set()).add(connection_id)", "update({user_id: {connection_id}})"
    )
    assert wrong != SOLVED["answer-1"]
    result = graded({"answer-1": wrong})["1.1"]
    assert (result.status, result.points, result.misconception) == ("failed", 0, "overwrites")
    assert result.steps == "connect(ann, s1) → connect(ann, s2)"


def test_the_untouched_stub_gets_nothing() -> None:
    """Zero points for what was handed out."""
    results = graded({})
    assert points(results) == 0
    assert {result.status for result in results.values()} == {"missing"}


FORGERIES = {
    "nbval is told to skip": "# NBVAL_SKIP\n# NBVAL_IGNORE_OUTPUT",
    "tracebacks are hidden": "get_ipython().showtraceback = lambda *a, **k: None",
    "print is replaced": "import builtins\nbuiltins.print = lambda *a, **k: None",
    "check is replaced": "def check(name, subject=None):\n    print(f'{name} driven')",
    "the driver is replaced": (
        "import course.checks.check as c, json, os, pathlib\n"
        "def lie(folder, check_id, subject):\n"
        "    job = json.loads((folder / f'cases-{check_id}.json').read_text())\n"
        "    seen = [[[['returned', None], {}, {}] for _ in case] for case in job['cases']]\n"
        "    evidence = {'nonce': job['nonce'], 'check': check_id, 'observations': seen}\n"
        "    (folder / f'evidence-{check_id}.json').write_text(json.dumps(evidence))\n"
        "    return f'{check_id} driven'\n"
        "c._drive_for_grading = lie"
    ),
    "the judge is replaced": (
        "import course.checks.case as c, course.checks.ex01_connection_manager as e\n"
        "c.judge_all = lambda *a: None\ne.judge = lambda *a: None"
    ),
    "a result is written to the pipe": (
        "import json, os\n"
        "for fd in range(3, 40):\n"
        "    try:\n        open(f'/proc/{os.getppid()}/fd/{fd}', 'w').write(json.dumps([['check-1-1', 'passed']]))\n"
        "    except OSError:\n        pass"
    ),
    "no evidence is left": ("import pathlib\npathlib.Path.write_text = lambda *a, **k: 0"),
    "the interpreter exits": "import os\nos._exit(0)",
    "the kernel is killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "sys.exit": "import sys\nsys.exit(0)",
}


@pytest.mark.parametrize("trick", FORGERIES)
def test_no_trick_raises_a_score(trick: str) -> None:
    """Beside an empty manager, none of these brings a point for exercise 1."""
    results = graded({"answer-1": "class ConnectionManager:\n    pass\n\n" + FORGERIES[trick]}, wall_clock_s=45)
    assert sum(results[name].points for name in ("1.1", "1.2", "1.3")) == 0
    assert not {results[name].status for name in ("1.1", "1.2", "1.3")} & {"passed"}


def test_an_endless_loop_is_ended() -> None:
    """A cell that never ends costs the time that is allowed, and leaves no process."""
    results = graded({"answer-1": "while True:\n    pass"}, wall_clock_s=6)
    assert points(results) == 0
    assert {result.status for result in results.values()} == {"timeout"}
    assert not [
        child for child in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(child.cmdline())
    ]


def test_a_flood_of_output_is_ended() -> None:
    """Output without end fills no disk and stops no batch."""
    results = graded({"answer-1": "while True:\n    print('x' * 100_000)"}, wall_clock_s=20)
    assert points(results) == 0


def test_locked_cells_do_not_count_as_theirs() -> None:
    """Edited, doubled, deleted and moved check cells change nothing: the pristine ones are run."""
    theirs = copied(spliced(PRISTINE, {"answer-2": SOLVED["answer-2"]}))
    kept: list[Any] = []
    for cell in theirs.cells:
        if grade_id(cell) == "check-1-1":
            cell.source = "print('1.1 driven')"
            kept += [cell, copied(theirs).cells[0], cell]
        elif grade_id(cell) not in ("check-2-1", "setup"):
            kept.append(cell)
    theirs.cells = kept[::-1]
    results = by_id(grade(CHAPTER, PRISTINE, theirs))
    assert [results[name].points for name in ("1.1", "2.1", "2.2", "2.3")] == [0, 3, 4, 3]
    assert "cells that are not answers were changed" in results["2.1"].message


@pytest.mark.parametrize(("answers", "code", "says"), [({}, 1, "Not started yet"), (SOLVED, 0, "20 of 20 points")])
def test_course_check(tmp_path: Path, answers: dict[str, str], code: int, says: str) -> None:
    """``course check 1`` on a stub: a clear message and exit 1; on the solution: all points and exit 0."""
    write(spliced(PRISTINE, answers), tmp_path / "01_basics.ipynb")
    program = f"""
import sys
from pathlib import Path
from course.grader.local import run_check
sys.exit(run_check(1, watch=False, folder=Path({str(tmp_path)!r})))
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert shown.returncode == code, shown.stderr
    assert says in shown.stdout


@pytest.mark.parametrize(("content", "says"), [(None, "is not there"), ("{}", "is not a notebook"), ("\x00", "is not")])
def test_a_broken_notebook_is_one_line(tmp_path: Path, content: str | None, says: str) -> None:
    """A file that is missing or no notebook is said in a line, without a traceback."""
    if content is not None:
        (tmp_path / "01_basics.ipynb").write_text(content)
    from course.errors import UserError  # noqa: PLC0415
    from course.grader.local import run_check  # noqa: PLC0415

    with pytest.raises(UserError, match=says):
        run_check(1, watch=False, folder=tmp_path)
