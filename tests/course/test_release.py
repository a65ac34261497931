"""The student's copy, and what a learner does with it: check, hint, reset, an update."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.capstone import starter
from course.errors import UserError
from course.grader import local
from course.grader.generate import exercise
from course.grader.notebooks import answers_of, code_cell, grade_id, merged, read, spliced, stub_of, write
from course.grader.progress import Progress
from course.grader.release import run_release
from course.grader.run import Result
from course.manifest import ROOT, load
from tests.course.handed_in import CHAPTER, PRISTINE, SOLVED


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh student's copy."""
    out = tmp_path_factory.mktemp("release") / "copy"
    assert run_release(out) == 0
    return out


def test_nothing_is_given_away(released: Path) -> None:
    """No solutions, no tests, no history; not one line of a solution or a rubric in any file."""
    for name in ("solutions", "tests", ".git", "benchmarks", ".ci"):
        assert not (released / name).exists()
    secrets = [line.strip() for line in solution_lines() if len(line.strip()) > 30]
    assert len(secrets) > 20
    texts = [path.read_text(errors="replace") for path in released.rglob("*") if path.suffix in (".ipynb", ".md")]
    assert not [line for line in secrets if any(json.dumps(line)[1:-1] in text for text in texts)]
    assert not any("### BEGIN SOLUTION" in path.read_text() for path in released.rglob("*.ipynb"))
    servers = sorted(str(path.relative_to(released)) for path in released.rglob("chat_server.py"))
    assert servers == ["course/pristine/capstone/chat_server.py", "exercises/capstone/chat_server.py"]
    assert {(released / name).read_text() for name in servers} == {starter.starter()}
    assert (released / "exercises" / "capstone" / "README.md").read_text() == starter.readme()


def solution_lines() -> list[str]:
    """What is in the solutions and neither in the stubs nor in the tasks."""
    found: list[str] = []
    for chapter in load().chapters:
        solution = read(ROOT / "solutions" / f"{chapter.name}.ipynb")
        stub = stub_of(solution).cells
        handed_out = {line for cell in stub for line in cell.source.split("\n")}
        task = "\n".join(cell.source for cell in stub if cell.cell_type == "markdown")  # it shows how parts are called
        lines = [line for cell in solution.cells for line in cell.source.split("\n") if line not in handed_out]
        found += [line for line in lines if line.strip() not in task]
    return found


def test_the_exercises_are_a_valid_nbgrader_assignment(released: Path) -> None:
    """Schema 3: a unique grade_id a cell, points where it is graded, locked where it is not theirs."""
    for chapter in load().chapters:
        notebook = read(released / "exercises" / f"{chapter.name}.ipynb")
        nbformat.validate(notebook)
        found = [cell.metadata.nbgrader for cell in notebook.cells]
        assert len({cell.grade_id for cell in found}) == len(found)
        for cell in found:
            assert (cell.schema_version, cell.task) == (3, False)
            assert ("points" in cell) == cell.grade
            assert cell.locked != cell.solution
        checks = {f"check-{check.id.replace('.', '-')}": check.points for check in chapter.checks}
        assert checks == {cell.grade_id: cell.points for cell in found if cell.grade and not cell.solution}


def test_the_copy_grades_itself(released: Path) -> None:
    """``course check`` works without the solutions: the pristine notebooks came along."""
    write(spliced(PRISTINE, {"answer-2": SOLVED["answer-2"]}), released / "exercises" / "01_basics.ipynb")
    shown = subprocess.run(
        [sys.executable, "-m", "course", "check", "1"], cwd=released, capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 1, shown.stderr
    assert "10 of 20 points" in shown.stdout
    assert "Next: 1.1 indexes that cannot disagree" in shown.stdout
    progress = json.loads((released / "exercises" / "progress.json").read_text())
    assert {name: one["status"] for name, one in progress.items() if one["tries"]} == {
        "2.1": "passed", "2.2": "passed", "2.3": "passed",
    }  # fmt: skip


def test_an_update_keeps_what_a_learner_has_written(tmp_path: Path) -> None:
    """Answers and cells of their own stay in the exercise; another changed file is kept aside; the rest is new."""
    out = tmp_path / "copy"
    run_release(out)
    path = out / "exercises" / "01_basics.ipynb"
    theirs = read(path)
    own = code_cell("mine = 1")
    theirs.cells.insert(4, own)
    write(spliced(theirs, {"answer-1": "my answer"}), path)
    (out / "notebooks" / "01_basics.ipynb").write_text("run and changed")
    (out / "README.md").unlink()
    (out / "course" / "manifest.toml").write_text((ROOT / "course" / "manifest.toml").read_text())
    stale = out / "course" / "gone.py"
    stale.write_text("x")
    listed = json.loads((out / ".release.json").read_text())
    listed["course/gone.py"] = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    (out / ".release.json").write_text(json.dumps(listed))
    run_release(out)
    updated = read(path)
    assert answers_of(updated)["answer-1"] == "my answer"
    assert [cell.source for cell in updated.cells if grade_id(cell) is None] == ["mine = 1"]
    assert [c.source for c in updated.cells].index("mine = 1") == 4
    assert (out / "kept" / "notebooks" / "01_basics.ipynb").read_text() == "run and changed"
    assert (out / "README.md").exists()
    assert not stale.exists()


def test_an_answer_whose_cell_is_gone_from_the_course_stays() -> None:
    """It becomes a cell of their own."""
    newer = exercise("01_basics")
    newer.cells = [cell for cell in newer.cells if grade_id(cell) != "answer-2"]
    sources = [cell.source for cell in merged(newer, spliced(PRISTINE, {"answer-2": "my answer"})).cells]
    assert sources.count("my answer") == 1


@pytest.mark.parametrize("name", ["full", "reference_impl", "."])
def test_a_release_does_not_overwrite_something_else(tmp_path: Path, name: str) -> None:
    """A folder with something else in it, or of the course itself: one line, nothing written."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(UserError, match="--out"):
        run_release(tmp_path / "full" if name == "full" else ROOT / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


# -- check, hint, reset, solution ---------------------------------------------------------------------------------


def results(*passed: str) -> list[Result]:
    return [Result(c, c.points, "passed") if c.id in passed else Result(c, 0, "failed", "no") for c in CHAPTER.checks]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the exercise, and a grader that passes what the answers name."""

    def grade(_chapter: Any, _pristine: Any, cells: Any) -> list[Result]:
        return results(*(word for cell in cells if cell.name == "answer-1" for word in cell.source.split()))

    monkeypatch.setattr(local, "grade", grade)
    shutil.copyfile(ROOT / "exercises" / "01_basics.ipynb", tmp_path / "01_basics.ipynb")
    write(spliced(PRISTINE, {}), tmp_path / "01_basics.ipynb")
    return tmp_path


def answer(folder: Path, text: str) -> None:
    write(spliced(read(folder / "01_basics.ipynb"), {"answer-1": text}), folder / "01_basics.ipynb")


def test_hints_come_one_at_a_time(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each time one more, and the last one again."""
    for number in (1, 2, 3, 3):
        local.show_hint("1.1", pretended)
        assert capsys.readouterr().out.startswith(f"Hint {number} of 3 for 1.1")
    with pytest.raises(UserError, match="there is no check"):
        local.show_hint("7", pretended)


def test_the_solution_is_for_who_has_solved_it(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before that, it says which check is open; afterwards it stays open even when a later try fails."""
    answer(pretended, "1.1 1.2")
    assert local.run_check(1, watch=False, folder=pretended) == 1
    assert "Next: 1.3 sending to every device. A hint: course check --hint 1.3" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"solve exercise 1 first: 1\.3 has not passed yet"):
        local.show_solution("1", pretended)
    answer(pretended, "1.1 1.2 1.3")
    local.run_check(1, watch=False, folder=pretended)
    answer(pretended, "oh no")
    local.run_check(1, watch=False, folder=pretended)
    capsys.readouterr()
    assert local.show_solution("1.2", pretended) == 0
    shown = capsys.readouterr().out
    assert "class ConnectionManager" in shown
    assert "SOLUTION" not in shown


def test_all_points_are_said_with_what_comes_next(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, and where to compare."""
    answer(pretended, " ".join(check.id for check in CHAPTER.checks))
    assert local.run_check(1, watch=False, folder=pretended) == 0
    assert "course check --solution 1" in capsys.readouterr().out


def test_reset_of_one_exercise(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its answer is the stub again, the other exercise's is not touched, what was there is kept, progress is too."""
    write(spliced(PRISTINE, {"answer-1": "1.1 2.1", "answer-2": "mine"}), pretended / "01_basics.ipynb")
    local.run_check(1, watch=False, folder=pretended)
    local.reset("1.1", pretended)
    assert answers_of(read(pretended / "01_basics.ipynb")) == answers_of(spliced(PRISTINE, {"answer-2": "mine"}))
    (kept,) = (pretended / "kept").iterdir()
    assert answers_of(read(kept))["answer-1"] == "1.1 2.1"
    assert kept.name in capsys.readouterr().out
    assert not Progress(pretended).has_passed("1.1")
    assert Progress(pretended).has_passed("2.1")
    with pytest.raises(UserError, match="there is no exercise '99'"):
        local.reset("99", pretended)


@pytest.mark.parametrize(("file", "says"), [(None, "is not there: .*writes it anew"), ("{}", "not a notebook")])
def test_a_broken_notebook_is_one_line(tmp_path: Path, file: str | None, says: str) -> None:
    """A file that is missing or no notebook is said in a line, without a traceback."""
    if file is not None:
        (tmp_path / "01_basics.ipynb").write_text(file)
    with pytest.raises(UserError, match=says):
        local.run_check(1, watch=False, folder=tmp_path)
