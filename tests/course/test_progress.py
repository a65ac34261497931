"""How far a learner is, as the start page shows it."""

from pathlib import Path

from rich.console import Console

from course.grader.progress import Progress, table
from course.grader.run import Result
from course.manifest import load


def shown(folder: Path) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table(folder))
    return captured.get().splitlines()


def test_the_table_says_what_is_next(tmp_path: Path) -> None:
    """All exercises are in it; points, a mark a check, and the next thing to do."""
    exercise = load().chapters[0].exercises[0]
    first, second, third = exercise.checks
    titles = [exercise.title for chapter in load().chapters for exercise in chapter.exercises]
    assert all(any(title in line for line in shown(tmp_path)) for title in titles)
    assert "course check 1" in shown(tmp_path)[1]
    notes = Progress(tmp_path)
    notes.note([Result(first, first.points, "passed"), Result(second, 0, "failed"), Result(third, 0, "missing")])
    line = shown(tmp_path)[1]
    assert f"{first.points} of 10" in line
    assert "✓ ✗ ·" in line
    assert line.rstrip().endswith(f"course check --hint {second.id}")
    notes.note([Result(check, check.points, "passed") for check in exercise.checks])
    assert shown(tmp_path)[1].rstrip().endswith("done")
