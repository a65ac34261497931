"""The pages: feedback for each student, an overview of the class, the explained answers. No script, no network."""

import statistics
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, String, Token

from course.grader.plots import bars, histogram
from course.grader.store import Graded, Row
from course.grader.tables import number
from course.judges.picture import LEFT, LONGEST
from course.manifest import ChapterInfo, CheckInfo, ExerciseInfo, load

if TYPE_CHECKING:
    from course.grader.manual import Question
    from course.grader.report import Sheet

STATUSES = ("passed", "failed", "timeout", "crashed", "tampered", "missing")
CLASSES = ((Comment, "c"), (String, "s"), (Keyword, "k"), (Name.Function, "d"), (Name.Class, "d"))
MAX_CODE = 20_000


@cache
def _pages() -> Environment:
    return Environment(loader=PackageLoader("course.grader"), autoescape=True, undefined=StrictUndefined)


def _rendered(name: str, **values: Any) -> str:
    return _pages().get_template(name).render(**values)


def feedback_page(sheet: "Sheet", chapters: list[ChapterInfo]) -> str:
    """One student's page."""
    by_name = {graded.chapter: graded for graded in sheet.chapters}
    got, most = sheet.points()
    return _rendered(
        "feedback.html",
        student=sheet.student,
        got=number(got),
        most=number(most),
        percent=f"{sheet.percent:g}",
        to_score=_waiting(sheet),
        chapters=[_chapter(sheet, c, by_name[c.name]) for c in chapters if c.name in by_name],
        has_notebooks=any(not c.is_capstone for c in chapters),
        has_server="capstone" in by_name,
    )


def _chapter(sheet: "Sheet", chapter: ChapterInfo, graded: Graded) -> dict[str, Any]:
    got, most = sheet.points(chapter.name)
    rows = {row.check: row for row in graded.rows}
    first = graded.rows[0]
    same = all((row.status, row.message) == (first.status, first.message) and not row.code for row in graded.rows)
    whole = first if same and first.status != "passed" and not any(graded.explained.values()) else None
    exercises = [_exercise(sheet, graded, exercise, rows) for exercise in chapter.exercises]
    heading = f"{chapter.number} · {chapter.title}" if chapter.number else chapter.title
    return {
        "heading": heading, "got": number(got), "most": number(most), "whole": whole, "exercises": exercises,
    }  # fmt: skip


def _exercise(sheet: "Sheet", graded: Graded, exercise: ExerciseInfo, rows: dict[str, Row]) -> dict[str, Any]:
    mine = [(check, rows[check.id]) for check in exercise.checks if check.id in rows]
    questions = [q for q in sheet.questions[graded.chapter] if q.exercise == exercise.number]
    return {
        "number": exercise.number,
        "title": exercise.title,
        "explained": [_explained(sheet, graded, question) for question in questions],
        "got": sum(row.points for _, row in mine),
        "most": sum(row.max_points for _, row in mine),
        "code": highlighted(next((row.code for _, row in mine if row.code), "")),
        "rows": [_row(check.title, row, _same_as(row, mine)) for check, row in mine],
    }


def _same_as(row: Row, rows: list[tuple[CheckInfo, Row]]) -> str:
    """The check above that fails on the very same case, in the same way."""
    same = [one.check for _, one in rows if (one.steps, one.message) == (row.steps, row.message)]
    return same[0] if row.steps and same[0] != row.check else ""


def _explained(sheet: "Sheet", graded: Graded, question: "Question") -> dict[str, Any]:
    score = sheet.scores.get((sheet.student, question.name))
    return {
        "text": graded.explained.get(question.name, ""),
        "points": number(score.points) if score is not None and score.points is not None else None,
        "most": number(question.points),
        "comment": score.comment if score is not None else "",
    }


def _row(title: str, row: Row, same_as: str) -> dict[str, Any]:
    return {
        "check": row.check, "title": title, "points": row.points, "max_points": row.max_points, "status": row.status,
        "message": row.message, "steps": _steps(row),
        "same_as": same_as, "picture": Markup(row.picture),  # noqa: S704 - ours: the judge has drawn and escaped it
        "advice": load().advice(row.check, row.misconception),
    }  # fmt: skip


def _steps(row: Row) -> list[str]:
    """The failing case, where its picture does not show all of it."""
    steps = row.steps.split(" → ") if row.steps else []
    return steps if not row.picture or any(len(step) > LONGEST[LEFT] for step in steps) else []


def highlighted(code: str) -> Markup:
    """Python source as HTML."""
    if not code:
        return Markup("")
    cut = code if len(code) <= MAX_CODE else code[:MAX_CODE] + "\n… (cut here)"
    return Markup("").join(_span(kind, text) for kind, text in PythonLexer(stripnl=False).get_tokens(cut))


def _span(kind: Any, text: str) -> Markup:
    style = next((name for token, name in CLASSES if kind in token), "") if kind is not Token.Text else ""
    return Markup('<span class="{}">{}</span>').format(style, text) if style else escape(text)


def class_page(sheets: "list[Sheet]", chapters: list[ChapterInfo]) -> str:
    """The overview for the instructor."""
    percents = [sheet.percent for sheet in sheets] or [0.0]
    figures = {
        "students": len(sheets),
        "median": f"{statistics.median(percents):.0f}",
        "mean": f"{statistics.fmean(percents):.0f}",
        "full": sum(percent == 100 for percent in percents),
        "nothing": sum(sheet.points()[0] == 0 for sheet in sheets),
    }
    return _rendered(
        "class.html",
        figures=figures,
        histogram=histogram(percents),
        hardest=bars(_hardest(sheets)),
        statuses=STATUSES,
        titles=" · ".join(chapter.heading for chapter in chapters),
        misconceptions=_misconceptions(sheets),
        chapters=[("capstone" if one.is_capstone else str(one.number), one.heading) for one in chapters],
        students=[_student(sheet, chapters) for sheet in sheets],
        to_score=sum(_waiting(sheet) for sheet in sheets),
        explained=any(questions for sheet in sheets for questions in sheet.questions.values()),
    )


def _waiting(sheet: "Sheet") -> int:
    """Explain cells with something in them that nobody has scored."""
    return sum(
        bool(graded.explained.get(q.name)) and sheet.score(q) is None
        for graded in sheet.chapters
        for q in sheet.questions[graded.chapter]
    )


def _hardest(sheets: "list[Sheet]") -> list[tuple[str, list[tuple[str, int]]]]:
    counts: dict[str, Counter[str]] = {}
    for row in (row for sheet in sheets for graded in sheet.chapters for row in graded.rows):
        counts.setdefault(row.check, Counter())[row.status] += 1
    hardest = sorted(counts, key=lambda check: (counts[check]["passed"], check))
    return [
        (f"{check} {load().find(check)[1].title}", [(status, counts[check][status]) for status in STATUSES])
        for check in hardest
    ]


def _misconceptions(sheets: "list[Sheet]") -> list[dict[str, Any]]:
    who: dict[str, set[str]] = {}
    where: dict[str, set[str]] = {}
    for sheet in sheets:
        for row in (row for graded in sheet.chapters for row in graded.rows if row.misconception):
            who.setdefault(row.misconception, set()).add(sheet.student)
            where.setdefault(row.misconception, set()).add(row.check)
    names = sorted(who, key=lambda name: (-len(who[name]), name))
    return [
        {"name": name, "count": len(who[name]), "checks": ", ".join(sorted(where[name])),
         "advice": load().advice(min(where[name]), name)}
        for name in names
    ]  # fmt: skip


def _student(sheet: "Sheet", chapters: list[ChapterInfo]) -> dict[str, Any]:
    got, most = sheet.points()
    statuses = Counter[str](row.status for graded in sheet.chapters for row in graded.rows)
    return {
        "name": sheet.student, "href": "feedback/" + quote(sheet.page), "got": number(got), "most": number(most),
        "percent": f"{sheet.percent:g}", "chapters": [_points(sheet, chapter) for chapter in chapters],
        "odd": [(status, statuses[status]) for status in STATUSES[2:] if statuses[status]],
    }  # fmt: skip


def _points(sheet: "Sheet", chapter: ChapterInfo) -> str:
    """Nothing where a chapter is optional and was not handed in."""
    is_there = any(graded.chapter == chapter.name for graded in sheet.chapters)
    return number(sheet.points(chapter.name)[0]) if is_there else ""


def explain_page(sheets: "list[Sheet]", chapters: list[ChapterInfo]) -> str:
    """All explained answers beside the rubrics."""
    questions = [
        {
            "chapter": chapter.title, "name": question.name, "most": number(question.points),
            "text": question.text, "rubric": question.rubric,
            "answers": [
                {"student": sheet.student, "text": graded.explained.get(question.name, ""),
                 "points": number(sheet.score(question))}
                for sheet in sheets for graded in sheet.chapters if graded.chapter == chapter.name
            ],
        }
        for chapter in chapters
        for question in (sheets[0].questions[chapter.name] if sheets else [])
    ]  # fmt: skip
    return _rendered("explain.html", questions=questions)
