"""What an instructor gets: tables for machines, pages for people."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from course.grader.folder import Student
from course.grader.generate import exercise
from course.grader.manual import Question, Scores, questions_of, read_scores, write_scores
from course.grader.pages import class_page, explain_page, feedback_page
from course.grader.store import Graded, Row, write_whole
from course.grader.tables import number, write_table
from course.manifest import ChapterInfo, load

GRADES = ("student", "exercise", "check", "points", "max_points", "status", "misconception", "message")


class Sheet(NamedTuple):
    """One student's results, all chapters."""

    student: str
    page: str
    """The feedback page's file name."""
    chapters: list[Graded]
    scores: Scores
    questions: dict[str, list[Question]]
    counted: frozenset[str]
    """The chapters whose points count in the percent."""

    def points(self, chapter: str | None = None) -> tuple[float, float]:
        """Points and most points, explain cells included once they have been scored. Of all that counts, or of one."""
        got = most = 0.0
        for graded in self.chapters:
            if chapter == graded.chapter or (chapter is None and graded.chapter in self.counted):
                given = [(q.points, self.score(q)) for q in self.questions[graded.chapter]]
                got += sum(row.points for row in graded.rows) + sum(points for _, points in given if points is not None)
                most += sum(row.max_points for row in graded.rows) + sum(m for m, points in given if points is not None)
        return got, most

    def score(self, question: Question) -> float | None:
        """An instructor's points for an explain cell; None until then."""
        score = self.scores.get((self.student, question.name))
        return score.points if score is not None else None

    @property
    def percent(self) -> float:
        """Of the points there are so far."""
        got, most = self.points()
        return round(100 * got / most, 1) if most else 0.0

    @property
    def to_score(self) -> int:
        """Explain cells that wait for an instructor."""
        return sum(self.score(question) is None for one in self.chapters for question in self.questions[one.chapter])


def write_reports(out: Path, chapters: list[ChapterInfo], students: list[Student], graded: list[Graded]) -> list[str]:
    """Writes everything from what there is; returns lines for the instructor. Raises ``UserError``."""
    notebooks = [chapter for chapter in chapters if not chapter.is_capstone]
    questions = {chapter.name: questions_of(chapter, exercise(chapter.name)) for chapter in notebooks}
    questions |= {chapter.name: [] for chapter in chapters if chapter.is_capstone}
    scores, problems = read_scores(out / "manual.csv", [q for chapter in questions.values() for q in chapter])
    counted = chapters if load().capstone.counts or not notebooks else notebooks
    sheets = _sheets(students, graded, scores, questions, frozenset(chapter.name for chapter in counted))
    if not problems:  # what an instructor has written is never overwritten before it is understood
        write_scores(out / "manual.csv", questions, graded, scores)
    write_table(out / "grades.csv", GRADES, [row for sheet in sheets for row in _grades(sheet)])
    columns = ("student", "points", "max_points", "percent", *(chapter.name for chapter in chapters), "to_score")
    write_table(out / "summary.csv", columns, [_summary(sheet, chapters) for sheet in sheets])
    folder = out / "feedback"
    folder.mkdir(exist_ok=True)
    for sheet in sheets:
        _write_page(folder / sheet.page, feedback_page(sheet, chapters))
    _write_page(out / "explain.html", explain_page(sheets, chapters))
    _write_page(out / "class.html", class_page(sheets, chapters))
    return problems


def _sheets(
    students: list[Student],
    graded: list[Graded],
    scores: Scores,
    questions: dict[str, list[Question]],
    counted: frozenset[str],
) -> list[Sheet]:
    by_student: dict[str, list[Graded]] = {}
    for one in graded:
        by_student.setdefault(one.student, []).append(one)
    return [
        Sheet(student.name, page_name(student.name), by_student[student.name], scores, questions, counted)
        for student in students
        if student.name in by_student
    ]


def page_name(student: str) -> str:
    """A file name for a student's page: the name itself, unless it can not be one."""
    safe = student.replace("/", "_").lstrip(".") or "_"
    if safe == student and len(safe.encode()) <= 240:
        return f"{safe}.html"
    return f"{safe[:50]}-{hashlib.sha256(student.encode()).hexdigest()[:8]}.html"


def _grades(sheet: Sheet) -> list[list[object]]:
    rows: list[list[object]] = []
    for graded in sheet.chapters:
        rows += [_grade(sheet.student, row) for row in graded.rows]
        for question in sheet.questions[graded.chapter]:
            if (points := sheet.score(question)) is not None:
                status, comment = "passed" if points else "failed", sheet.scores[sheet.student, question.name].comment
                most = number(question.points)
                rows.append(
                    [sheet.student, question.exercise, question.name, number(points), most, status, "", comment]
                )
    return rows


def _grade(student: str, row: Row) -> list[object]:
    label = load().find(row.check)[0].label
    return [
        student, label, row.check, row.points, row.max_points, row.status, row.misconception, row.message[:500],
    ]  # fmt: skip


def _summary(sheet: Sheet, chapters: list[ChapterInfo]) -> list[object]:
    got, most = sheet.points()
    there = {graded.chapter for graded in sheet.chapters}
    each = [number(sheet.points(chapter.name)[0]) if chapter.name in there else "" for chapter in chapters]
    return [sheet.student, number(got), number(most), f"{sheet.percent:g}", *each, sheet.to_score]


def _write_page(path: Path, html: str) -> None:
    write_whole(path, html.encode("utf-8", "replace"))
