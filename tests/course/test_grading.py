"""The whole way: a notebook in, points out; what is right gets its points whatever else is in the notebook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from course.grader.notebooks import copied, grade_id, spliced, write
from tests.course.handed_in import PRISTINE, SOLVED, graded, graded_file, points, statuses


def test_the_solution_gets_all_points() -> None:
    """20 of 20, every check a plain pass; prints, warnings on stderr and a redefined ``check`` cost nothing."""
    noise = "        import sys, warnings\n        warnings.warn('!')\n        print('x', file=sys.stderr)\n"
    loud = SOLVED["answer-1"].replace("        taken = 0\n", noise + "        taken = 0\n")
    assert loud != SOLVED["answer-1"]
    results = graded({**SOLVED, "answer-1": loud + "\ndef check(*a):\n    print('mine')\n1 / 0"})
    assert [(result.status, result.message) for result in results.values()] == [("passed", "")] * 6
    assert points(results) == 20


def test_half_a_solution_gets_half() -> None:
    """An answer that is missing costs its own points and no others; so does one that is wrong, and it is explained."""
    wrong = SOLVED["answer-1"].replace(
        "setdefault(user_id, set()).add(connection_id)", "update({user_id: {connection_id}})"
    )
    assert wrong != SOLVED["answer-1"]
    results = graded({"answer-1": wrong})
    assert statuses(results, 2) == {"missing"}
    result = results["1.1"]
    assert (result.status, result.points, result.misconception) == ("failed", 0, "overwrites")
    assert result.steps == "connect(ann, s1) → connect(ann, s2)"
    assert result.picture.startswith("<svg")
    assert result.code == wrong


def test_the_untouched_stub_gets_nothing() -> None:
    """Zero points for what was handed out, at once."""
    results = graded({})
    assert points(results) == 0
    assert {result.message for result in results.values()} == {"not started yet"}


def test_only_what_never_ends_costs_points() -> None:
    """An endless cell costs its own exercise, and the other one has its points; the text says what it was."""
    results = graded({**SOLVED, "answer-1": "while True:\n    pass"}, longest_cell_s=4)
    assert (statuses(results, 1), statuses(results, 2)) == ({"timeout"}, {"passed"})
    assert points(results) == 10


def test_a_flood_of_output_ends() -> None:
    """What prints without end costs its own exercise; it is said whether output or memory came to its bound first."""
    results = graded({**SOLVED, "answer-2": "while True:\n    print('x' * 100_000)"})
    assert (statuses(results, 1), statuses(results, 2)) == ({"passed"}, {"crashed"})
    assert "more output" in results["2.1"].message or "more memory" in results["2.1"].message
    assert points(results) == 10


def test_an_answer_that_does_not_even_run() -> None:
    """A syntax error is said as it is, with its line; a class that is not there, too."""
    results = graded({"answer-1": "class ConnectionManager:\n    def broken(", "answer-2": "class Despatcher: pass"})
    assert statuses(results, 1) == {"crashed"}
    assert "SyntaxError" in results["1.1"].message
    assert "(line 2)" in results["1.1"].message
    assert statuses(results, 2) == {"missing"}
    assert results["2.1"].message == "the answer does not define Dispatcher"


def test_cells_in_any_order_with_helpers() -> None:
    """Cells pasted in another order, doubled, with a helper cell that the answer needs: all points, and a word."""
    helper, rest = SOLVED["answer-2"].split("class Dispatcher", 1)
    theirs = spliced(PRISTINE, {**SOLVED, "answer-2": "class Dispatcher" + rest})
    own = copied(theirs).cells[-1]
    own.cell_type, own.source, own.metadata = "code", helper + "%time 1", {}
    own.id, own.outputs, own.execution_count = "f00d", [], None
    scratch = copied(theirs).cells[1]
    scratch.id, scratch.source, scratch.metadata = "beef", "raise RuntimeError('an experiment')", {}
    doubled = [cell for cell in copied(theirs).cells if grade_id(cell) == "answer-1"]
    doubled[0].source = "class ConnectionManager:\n    pass"
    theirs.cells = [own, *doubled, scratch, *theirs.cells[::-1]]
    results = graded_file(json.dumps(theirs).encode())
    assert points(results) == 20, results
    assert "the last one counts" in results["1.1"].message


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
