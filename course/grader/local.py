"""``course check``: grades the learner's own exercises, as an instructor would."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from watchfiles import watch as watch_files

from course.grader.generate import exercise
from course.grader.run import Result, advice, grade
from course.grader.submission import parse, read_file
from course.manifest import ROOT, ChapterInfo, load

console = Console(soft_wrap=True)


def run_check(chapter: int | None, watch: bool, folder: Path = ROOT / "exercises") -> int:
    """Grades a chapter, or all; shows points, what fails, and where a hint is. Returns 0 for all points, else 1.

    With ``watch`` it grades again whenever a notebook is saved, until Ctrl-C. Raises ``UserError``.
    """
    chapters = load().chapters if chapter is None else [load().chapter(chapter)]
    code = _grade_all(chapters, folder)
    if watch:
        console.print("\nWatching. Save the notebook to grade it again; Ctrl-C ends.")
        for changes in watch_files(folder, raise_interrupt=False):
            if any(path.endswith(".ipynb") and ".ipynb_checkpoints" not in path for _, path in changes):
                code = _grade_all(chapters, folder)
    return code


def _grade_all(chapters: list[ChapterInfo], folder: Path) -> int:
    full = True
    for chapter in chapters:
        theirs = parse(read_file(folder / f"{chapter.name}.ipynb", folder))
        if sys.stderr.isatty():
            with console.status(f"Grading {chapter.name} …"):
                results = grade(chapter, exercise(chapter.name), theirs)
        else:
            results = grade(chapter, exercise(chapter.name), theirs)
        full &= show(chapter, results)
    return 0 if full else 1


def show(chapter: ChapterInfo, results: list[Result]) -> bool:
    """Prints the results; whether they are all points."""
    points, possible = sum(r.points for r in results), sum(r.check.points for r in results)
    console.print(f"\n[bold]{chapter.number} {chapter.title}[/]  {points} of {possible} points")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for result in results:
        mark = "[green]✓[/]" if result.status == "passed" else "[red]✗[/]"
        table.add_row(
            f"{mark} {result.check.id}", result.check.title, f"{result.points}/{result.check.points}", result.status
        )
    console.print(table)
    if points == 0 and all(result.status == "missing" for result in results):
        console.print(f"Not started yet. Open exercises/{chapter.name}.ipynb in JupyterLab: make lab")
        return False
    for result in results:
        if result.status != "passed":
            _explain(result)
    return points == possible


def _explain(result: Result) -> None:
    console.print(f"\n{result.check.id}: {result.message}", markup=False)
    if result.steps:
        console.print(f"  smallest case: {result.steps}", markup=False)
    if text := advice(result):
        console.print(f"  {text}", markup=False)
    if result.status == "failed":
        console.print(f"  hint: {result.check.hints[0]}", markup=False)
