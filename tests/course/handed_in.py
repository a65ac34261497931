"""Notebooks as learners hand them in, for the tests of grading."""

import json
from typing import Any

from course.grader.generate import exercise
from course.grader.notebooks import answers_of, read, spliced
from course.grader.process import Limits
from course.grader.run import Result, grade
from course.grader.submission import parse
from course.manifest import ROOT, load

CHAPTER = load().chapter(1)
PRISTINE = exercise("01_basics")
SOLVED = {
    name: source
    for name, source in answers_of(read(ROOT / "solutions" / "01_basics.ipynb")).items()
    if name.startswith("answer-")
}


def content(answers: dict[str, str], notebook: Any = PRISTINE) -> bytes:
    """The file of a notebook with these answers, and stubs for the rest."""
    return json.dumps(spliced(notebook, answers)).encode()


def graded(answers: dict[str, str], *, longest_cell_s: float = 20) -> dict[str, Result]:
    """The results for a notebook with these answers and stubs for the rest."""
    return graded_file(content(answers), longest_cell_s=longest_cell_s)


def graded_file(file: bytes, *, longest_cell_s: float = 20) -> dict[str, Result]:
    """The results for what is in a file."""
    results = grade(CHAPTER, PRISTINE, parse(file), Limits(longest_cell_s=longest_cell_s))
    return {result.check.id: result for result in results}


def points(results: dict[str, Result], exercise_number: int | None = None) -> int:
    """The sum, of all or of one exercise."""
    return sum(r.points for name, r in results.items() if exercise_number is None or name[0] == str(exercise_number))


def statuses(results: dict[str, Result], exercise_number: int) -> set[str]:
    """How the checks of an exercise ended."""
    return {result.status for name, result in results.items() if name[0] == str(exercise_number)}
