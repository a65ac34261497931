"""``course check``: grades the learner's own exercises, as an instructor would."""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from watchfiles import watch as watch_files

from course.errors import UserError
from course.grader.generate import exercise
from course.grader.notebooks import answers_of, read, spliced, write
from course.grader.progress import Progress
from course.grader.run import Result, advice, grade
from course.grader.submission import Unreadable, parse, read_file
from course.grader.transplant import exercise_of
from course.manifest import ROOT, ChapterInfo, ExerciseInfo, load

console = Console(soft_wrap=True)
EXERCISES = ROOT / "exercises"


def run_check(chapter: int | None, watch: bool, folder: Path = EXERCISES) -> int:
    """Grades a chapter, or all; shows points, what fails, and where a hint is. Returns 0 for all points, else 1.

    With ``watch`` it grades again whenever a notebook is saved, until Ctrl-C. Raises ``UserError``.
    """
    chapters = load().chapters if chapter is None else [load().chapter(chapter)]
    code = _grade_all(chapters, folder)
    if watch:
        console.print("\nWatching. Save the notebook to grade it again; Ctrl-C ends.")
        for changes in watch_files(folder, raise_interrupt=False):
            saved = {Path(path).stem for _, path in changes if path.endswith(".ipynb")}
            again = [chapter for chapter in chapters if chapter.name in saved]
            if again:
                try:
                    code = _grade_all(again, folder)
                except UserError as error:  # half written: the next save comes
                    console.print(error.message, markup=False)
    return code


def show_hint(check_id: str, folder: Path = EXERCISES) -> int:
    """Shows the next hint for a check: each time one more. Raises ``UserError``."""
    _, info = load().find(check_id)
    number = Progress(folder).next_hint(check_id, info.title, len(info.hints))
    console.print(f"Hint {number} of {len(info.hints)} for {check_id} {info.title}", highlight=False)
    console.print(f"  {info.hints[number - 1]}", markup=False, highlight=False)
    return 0


def show_solution(what: str, folder: Path = EXERCISES) -> int:
    """Shows our solution of an exercise to who has solved it. Raises ``UserError``."""
    chapter, info = _exercise(what)
    progress = Progress(folder)
    if open_checks := [check.id for check in info.checks if not progress.has_passed(check.id)]:
        says = f"solve exercise {info.number} first: {', '.join(open_checks)} has not passed yet"
        raise UserError(f"{says}. `course check --hint {open_checks[0]}` helps", exit_code=1)
    path = ROOT / "solutions" / f"{chapter.name}.ipynb"
    if not path.exists():
        raise UserError("this copy of the course has no solutions: ask your instructor")
    for name, source in answers_of(read(path)).items():
        if exercise_of(name) == info.number:
            lines = [line for line in source.split("\n") if "### BEGIN SOLUTION" not in line and "### END" not in line]
            console.print(Syntax("\n".join(lines), "python", background_color="default"))
    return 0


def reset(what: str, folder: Path = EXERCISES) -> int:
    """Puts one exercise back to how it was handed out; what was there is kept beside. Raises ``UserError``."""
    chapter, info = _exercise(what)
    path = folder / f"{chapter.name}.ipynb"
    pristine = exercise(chapter.name)
    stubs = {name: stub for name, stub in answers_of(pristine).items() if exercise_of(name) == info.number}
    kept = folder / "kept" / f"{chapter.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}.ipynb"
    if path.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, kept)
    write(spliced(read(path) if path.exists() else pristine, stubs), path)
    Progress(folder).forget([check.id for check in info.checks])
    console.print(f"Exercise {info.number} {info.title} is as it was handed out.", markup=False, highlight=False)
    if kept.exists():
        console.print(f"What you had is in {kept}. Reload the notebook in JupyterLab.", markup=False, highlight=False)
    return 0


def _exercise(what: str) -> tuple[ChapterInfo, ExerciseInfo]:
    """By its number, or by the id of one of its checks. Raises ``UserError``."""
    for chapter in load().chapters:
        for info in chapter.exercises:
            if what == str(info.number) or what in [check.id for check in info.checks]:
                return chapter, info
    known = ", ".join(str(info.number) for chapter in load().chapters for info in chapter.exercises)
    raise UserError(f"there is no exercise {what!r}; the exercises are {known}")


def _grade_all(chapters: list[ChapterInfo], folder: Path) -> int:
    results: list[Result] = []
    for chapter in chapters:
        results += _grade(chapter, folder)
    Progress(folder).note(results)
    show_next(results)
    return 0 if all(result.status == "passed" for result in results) else 1


def _grade(chapter: ChapterInfo, folder: Path) -> list[Result]:
    name = f"{chapter.name}.ipynb"
    try:
        theirs = parse(read_file(folder / name, folder))
    except Unreadable as error:
        anew = "`python -m course.grader.generate` writes it anew"
        if not (folder / name).exists():
            raise UserError(f"{folder / name} is not there: {anew}") from None
        raise UserError(f"{folder / name}: {error.message}. Move it away, and {anew}") from None
    if sys.stderr.isatty():
        with console.status(f"Grading {chapter.name} …"):
            results = grade(chapter, exercise(chapter.name), theirs)
    else:
        results = grade(chapter, exercise(chapter.name), theirs)
    show(chapter, results)
    return results


def show(chapter: ChapterInfo, results: list[Result]) -> None:
    """Prints the results."""
    points, possible = sum(r.points for r in results), sum(r.check.points for r in results)
    console.print(f"\n[bold]{chapter.heading}[/]  {points} of {possible} points")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for result in results:
        mark = "[green]✓[/]" if result.status == "passed" else "[red]✗[/]"
        table.add_row(
            f"{mark} {result.check.id}", result.check.title, f"{result.points}/{result.check.points}", result.status
        )
    console.print(table)
    if points == 0 and all(result.status == "missing" for result in results):
        console.print(f"Not started yet. Open exercises/{chapter.name}.ipynb in JupyterLab: make lab")
        return
    for result in results:
        if result.status != "passed" or result.message:
            _explain(result)


def _explain(result: Result) -> None:
    lines = [f"\n{result.check.id}: {result.message}"]
    if result.steps:
        lines.append(f"  smallest case: {result.steps}")
    if text := advice(result):
        lines.append(f"  {text}")
    console.print("\n".join(lines), markup=False, highlight=False)


def show_next(results: list[Result]) -> None:
    """One line: what to do now."""
    left = [result for result in results if result.status != "passed"]
    if not left:
        solution = f"Compare with ours: course check --solution {load().find(results[0].check.id)[0].label}"
        console.print(f"\nAll of it, also with cases you have not seen. {solution}", markup=False, highlight=False)
        return
    first = min(left, key=lambda result: result.status == "missing")  # what is begun comes before what is not
    says = f"Next: {first.check.id} {first.check.title}"
    if first.status == "failed":
        says += f". A hint: course check --hint {first.check.id}"
    console.print(f"\n{says}", markup=False, highlight=False)
