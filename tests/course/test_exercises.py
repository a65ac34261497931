"""Solutions pass, stubs don't, and every wrong answer fails where it should."""

import asyncio
import contextlib
import importlib
import runpy
from pathlib import Path
from typing import Any

import pytest

from course.checks.check import check, hint
from course.errors import UserError
from course.grader.generate import exercise
from course.grader.notebooks import answers_of, copied, grade_id, is_answer, is_tampered, read, spliced, stub_of
from course.manifest import ROOT, load
from tests.course.answers import CHECKS, QUICK, WRONG, WRONG_IN_SERVER, assert_caught, failure_of, solution, stub


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("check_id", QUICK)
def test_the_solution_passes(check_id: str, seed: int) -> None:
    """Whatever the seed, the solution is right in every case."""
    assert failure_of(check_id, solution(check_id), seed) is None


@pytest.mark.parametrize("check_id", QUICK)
def test_the_stub_fails_every_check(check_id: str) -> None:
    """What is handed out brings no points."""
    assert failure_of(check_id, stub(check_id), seed=2) is not None


def test_every_file_of_the_checks_is_in_the_manifest() -> None:
    """Drivers and judges: the manifest's modules with exactly the manifest's checks, and no exercise it forgot."""
    exercises = [one for chapter in load().chapters for one in chapter.exercises]
    modules = {one.module for one in exercises}
    for folder in ("checks", "judges"):
        found = {path.stem for path in (ROOT / "course" / folder).glob("ex*.py")}
        assert found == modules
    for one in exercises:
        ids = [check.id for check in one.checks]
        assert list(importlib.import_module(f"course.checks.{one.module}").DRIVERS) == ids
        assert list(importlib.import_module(f"course.judges.{one.module}").CHECKS) == ids
        assert all(check_id.startswith(f"{one.number}.") for check_id in ids)
    assert [one.number for one in exercises] == list(range(1, 15))
    numbers = {f"ex{one.number:02}" for one in exercises}
    assert {path.stem[:4] for path in WRONG} == numbers


@pytest.mark.parametrize("path", [path for path in WRONG if path not in WRONG_IN_SERVER], ids=lambda path: path.stem)
def test_a_wrong_answer_is_caught_by_the_check_meant_for_it(path: Path) -> None:
    """The check fails, names the misconception, and shows a short case; the advice exists."""
    assert_caught(path)


def test_there_are_wrong_answers_for_each_exercise() -> None:
    """Three or more an exercise; every misconception of the manifest is met by one, or is a plain slip."""
    for chapter in load().chapters:
        for info in chapter.exercises:
            wrong = [runpy.run_path(str(path)) for path in WRONG if path.stem.startswith(f"ex{info.number:02}_")]
            assert len(wrong) >= 3
            met = {one["MISCONCEPTION"] for one in wrong}
            assert info.misconceptions.keys() - met <= {"wrong_answer_of_send"}


def test_the_first_failure_is_the_smallest() -> None:
    """A second device that replaces the first is shown in two steps, not in fourteen."""
    path = Path(__file__).parent / "wrong_answers" / "ex01_overwrites_the_first_device.py"
    failure = failure_of("1.1", runpy.run_path(str(path))["ConnectionManager"], seed=2)
    assert failure.steps == "connect(ann, s1) → connect(ann, s2)"


class OtherStyle:
    """A right answer that looks different: one dict of records, indexes as views of it."""

    def __init__(self, max_connections_per_user: int = 5) -> None:
        self.limit = max_connections_per_user
        self.records: dict[str, tuple[str, Any]] = {}
        self.counter = 0

    @property
    def connections_by_id(self) -> dict[str, Any]:
        return {name: socket for name, (_, socket) in self.records.items()}

    @property
    def connections_by_user(self) -> dict[str, tuple[str, ...]]:
        return {user: tuple(self._of(user)) for user, _ in self.records.values()}

    def _of(self, user: str) -> list[str]:
        return [name for name, (owner, _) in self.records.items() if owner == user]

    async def connect(self, user_id: str, websocket: Any) -> str:
        if len(self._of(user_id)) >= self.limit:
            raise type("ConnectionLimitExceeded", (ValueError,), {})("full")
        self.counter += 1
        name = str(self.counter)
        self.records[name] = (user_id, websocket)
        done = False
        try:
            await websocket.accept()
            done = True
        finally:
            if not done:
                del self.records[name]
        return name

    async def disconnect(self, connection_id: str) -> None:
        self.records.pop(connection_id, None)

    async def send_to_user(self, user_id: str, payload: Any) -> bool:
        names = self._of(user_id)
        sending = (self.records[name][1].send_json(payload) for name in names)
        failed = [isinstance(result, Exception) for result in await asyncio.gather(*sending, return_exceptions=True)]
        for name, is_dead in zip(names, failed, strict=True):
            if is_dead:
                del self.records[name]
        return not all(failed)


@pytest.mark.parametrize("check_id", ["1.1", "1.2", "1.3"])
def test_a_right_answer_in_another_style_passes(check_id: str) -> None:
    """Graded is what the code does, not how it looks."""
    assert failure_of(check_id, OtherStyle, seed=4) is None


def test_code_that_never_ends_is_ended() -> None:
    """An endless wait in a learner's method costs seconds, not the session."""

    class Stuck(OtherStyle):
        async def connect(self, user_id: str, websocket: Any) -> str:
            while True:  # noqa: ASYNC110 - that is the mistake
                await asyncio.sleep(0)

    failure = failure_of("1.1", Stuck, seed=1)
    assert "no end within" in failure.what


def test_code_that_never_gives_back_control_is_interrupted() -> None:
    """A loop without an await ends, too, also where it catches every exception; the notebook's kernel goes on."""

    class Greedy(OtherStyle):
        async def connect(self, user_id: str, websocket: Any) -> str:
            with contextlib.suppress(Exception):
                while True:
                    pass
            return ""

    failure = failure_of("1.1", Greedy, seed=1)
    assert (failure.misconception, failure.steps) == ("never_ends", "connect(ann, s1)")


# -- in the notebook ------------------------------------------------------------------------------------------


def test_check_prints_the_points(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for a right answer; what fails, the smallest case and advice for a wrong one."""
    check("1.1", solution("1.1"))
    assert capsys.readouterr().out.startswith("✓ 1.1 indexes that cannot disagree: 4 of 4 points")
    check("1.2", OtherStyle)
    wrong = runpy.run_path(str(Path(__file__).parent / "wrong_answers" / "ex01_counts_failed_accepts.py"))
    capsys.readouterr()
    check("1.2", wrong["ConnectionManager"])
    shown = capsys.readouterr().out
    assert shown.startswith("✗ 1.2 a limit that holds: 0 of 3 points\n")
    assert "smallest case: connect_fails(ann, s1)" in shown
    assert 'hint("1.2")' in shown


def test_check_says_what_to_do_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing defined, a stub, an unknown id: a clear line each."""
    check("1.1")
    assert "Define ConnectionManager first" in capsys.readouterr().out
    namespace: dict[str, Any] = {}
    exec(answers_of(exercise("01_basics"))["answer-1"], namespace)  # noqa: S102 - our own stub
    check("1.1", namespace["ConnectionManager"])
    assert "Not finished yet" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"there is no check '9.9'; the checks are 1.1"):
        check("9.9")
    hint("1.1", 99)
    assert "Hint 3 of 3" in capsys.readouterr().out


# -- the folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", load().chapters, ids=lambda chapter: chapter.name)
def test_exercises_are_generated_from_solutions(chapter: Any) -> None:
    """Every locked cell of the exercise is the solution's; answers and cells of a learner's own are free."""
    assert not is_tampered(exercise(chapter.name), read(ROOT / "exercises" / f"{chapter.name}.ipynb"))


def test_the_stub_gives_nothing_away() -> None:
    """No solution, no rubric, no output is left in what learners get."""
    stub = stub_of(read(ROOT / "solutions" / "01_basics.ipynb"))
    text = "\n".join(cell.source for cell in stub.cells)
    for given_away in ("SOLUTION", "Rubric", "_forget", "setdefault", "server_error(", "self._next"):
        assert given_away not in text
    assert text.count("NotImplementedError") == 5
    assert all(not cell.get("outputs") for cell in stub.cells)


def test_a_learners_edits_survive_an_update() -> None:
    """Answers move into the new pristine notebook by their id; other changes of theirs do not matter."""
    theirs = copied(exercise("01_basics"))
    for cell in theirs.cells:
        if grade_id(cell) == "answer-1":
            cell.source = "mine = 1"
    theirs.cells.insert(3, copied(theirs).cells[0])
    updated = spliced(exercise("01_basics"), answers_of(theirs))
    assert answers_of(updated)["answer-1"] == "mine = 1"
    assert not is_tampered(exercise("01_basics"), updated)


def test_the_manifest_and_the_notebooks_agree() -> None:
    """Same chapters, same checks, same points; ids unique; hints never empty; valid nbgrader metadata."""
    names = {path.stem for path in (ROOT / "solutions").glob("*.ipynb")}
    assert names == {chapter.name for chapter in load().chapters}
    assert {path.stem for path in (ROOT / "exercises").glob("*.ipynb")} == names
    assert len(CHECKS) == len(set(CHECKS))
    for chapter in load().chapters:
        notebook = read(ROOT / "solutions" / f"{chapter.name}.ipynb")
        cells = [cell.metadata["nbgrader"] for cell in notebook.cells]
        assert len({cell["grade_id"] for cell in cells}) == len(cells)
        assert all(cell["schema_version"] == 3 for cell in cells)
        points = {c["grade_id"]: c["points"] for c in cells if c["grade"] and not c["solution"]}
        assert points == {f"check-{c.id.replace('.', '-')}": c.points for c in chapter.checks}
        assert all(c.hints and all(c.hints) for c in chapter.checks)
        assert all(c["locked"] != c["solution"] for c in cells)
        assert any(is_answer(cell) and cell.cell_type == "markdown" for cell in notebook.cells)


@pytest.mark.parametrize("chapter", load().chapters, ids=lambda chapter: chapter.name)
def test_every_chapter_leads_to_its_exercises(chapter: Any) -> None:
    """From the notebook's end, from the lesson, and from the map on the start page, with their numbers."""
    numbers = " and ".join(str(one.number) for one in chapter.exercises)
    for page, link in (
        (f"notebooks/{chapter.name}.ipynb", f"[exercises {numbers}](../exercises/{chapter.name}.ipynb)"),
        (f"course/lessons/{chapter.name}.md", f"[exercises {numbers}](../../exercises/{chapter.name}.ipynb)"),
        ("notebooks/00_start_here.ipynb", f"[{numbers}](../exercises/{chapter.name}.ipynb)"),
    ):
        assert link in (ROOT / page).read_text(), page
