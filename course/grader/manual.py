"""Explain cells: the machine collects them, an instructor scores them in ``manual.csv``."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from course.grader.notebooks import SOLUTION, Notebook, grade_id, is_answer, read
from course.grader.store import Graded
from course.grader.submission import Cell
from course.grader.tables import number, read_table, write_table
from course.manifest import ROOT, ChapterInfo

COLUMNS = ("student", "exercise", "check", "points", "max_points", "comment", "answered")


class Question(NamedTuple):
    """One explain cell of a chapter."""

    name: str
    exercise: int
    points: float
    text: str
    rubric: str


class Score(NamedTuple):
    """What an instructor gave; ``points`` is None until then."""

    points: float | None
    comment: str


Scores = dict[tuple[str, str], Score]
"""(student, name of the explain cell) → score."""


def questions_of(chapter: ChapterInfo, pristine: Notebook) -> list[Question]:
    """The chapter's explain cells; their rubrics where the solutions are at hand."""
    solution = ROOT / "solutions" / f"{chapter.name}.ipynb"
    source = read(solution) if solution.exists() else pristine
    return [
        Question(
            str(grade_id(cell)),
            _exercise(str(grade_id(cell))),
            float(cell.metadata["nbgrader"].get("points", 0)),
            next((c.source for c in source.cells if grade_id(c) == f"{grade_id(cell)}-question"), ""),
            _rubric(cell.source),
        )
        for cell in source.cells
        if is_answer(cell) and cell.cell_type == "markdown"
    ]


def explain_texts(pristine: Notebook, theirs: list[Cell]) -> dict[str, str]:
    """Name of each explain cell → what was written into it; nothing where it is as it was handed out."""
    stubs = {str(grade_id(c)): c.source.strip() for c in pristine.cells if is_answer(c) and c.cell_type == "markdown"}
    given = {cell.name: cell.source.strip() for cell in theirs if cell.name in stubs and cell.source.strip()}
    return {name: given.get(name, "") if given.get(name) != stub else "" for name, stub in stubs.items()}


def read_scores(path: Path, questions: Iterable[Question]) -> tuple[Scores, list[str]]:
    """The scores in ``manual.csv``, and a line for each that can not be used. Raises ``UserError``."""
    most = {question.name: question.points for question in questions}
    scores: Scores = {}
    problems = []
    for line, row in enumerate(read_table(path), start=2):
        name, given = row.get("check", ""), row.get("points", "").strip().replace(",", ".")
        try:
            points = float(given) if given else None
        except ValueError:
            points = -1.0
        if points is not None and not 0 <= points <= most.get(name, 0):
            problems.append(
                f"{path} line {line}: {given!r} is not between 0 and {number(most.get(name, 0))} for {name}"
            )
            continue
        scores[row.get("student", ""), name] = Score(points, row.get("comment", ""))
    return scores, problems


def write_scores(path: Path, questions: dict[str, list[Question]], graded: list[Graded], scores: Scores) -> None:
    """``manual.csv``: a row an explain cell, with what has been given so far. Rows of others are kept."""
    rows = []
    written = set()
    for one in graded:
        for question in questions[one.chapter]:
            key = (one.student, question.name)
            written.add(key)
            score = scores.get(key, Score(None, ""))
            answered = "yes" if one.explained.get(question.name) else "no"
            rows.append(
                [one.student, question.exercise, question.name, number(score.points), number(question.points),
                 score.comment, answered]
            )  # fmt: skip
    for (student, name), score in scores.items():
        if (student, name) not in written:
            rows.append([student, _exercise(name), name, number(score.points), "", score.comment, ""])
    write_table(path, COLUMNS, rows)


def _exercise(name: str) -> int:
    found = re.match(r"explain-(\d+)", name)
    return int(found[1]) if found else 0


def _rubric(source: str) -> str:
    found = SOLUTION.search(source + "\n")
    return "" if found is None else "\n".join(found[0].strip().split("\n")[1:-1]).strip()
