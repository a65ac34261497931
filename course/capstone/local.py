"""``course check capstone``: starts the learner's server, asks it everything, and says what to do next."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.syntax import Syntax
from watchfiles import watch as watch_files

from course.capstone.judge import Tell, judge, source_of
from course.capstone.starter import FILE, FOLDER, put
from course.conform.runner import chosen_checks
from course.errors import UserError
from course.grader.local import EXERCISES, console, show, show_next
from course.grader.process import Limits
from course.grader.progress import Progress as Reached
from course.grader.submission import Unreadable, read_file
from course.manifest import ROOT, LevelInfo, load

TASK = f"exercises/{FOLDER}/README.md"


def run_check(watch: bool, number: int | None = None, folder: Path = EXERCISES) -> int:
    """Asks the learner's server, for one level or all; shows points by level. Returns 0 for all points, else 1.

    With ``watch`` it does so again at every save, until Ctrl-C. Raises ``UserError``.
    """
    levels = load().capstone.levels if number is None else [load().capstone.level(number)]
    code = _ask(levels, folder)
    if watch:
        console.print(f"\nWatching. Save {FILE} to ask again; Ctrl-C ends.")
        for changes in watch_files(folder / FOLDER, raise_interrupt=False):
            if any(Path(path).name == FILE for _, path in changes):
                try:
                    code = _ask(levels, folder)
                except UserError as error:  # half written: the next save comes
                    console.print(error.message, markup=False)
    return code


def show_solution(folder: Path = EXERCISES) -> int:
    """Shows our server to who has reached all levels. Raises ``UserError``."""
    progress, capstone = Reached(folder), load().capstone
    if left := [level.id for level in capstone.levels if not progress.has_passed(level.id)]:
        says = f"solve the capstone first: {', '.join(left)} has not passed yet"
        raise UserError(f"{says}. `course check --hint {left[0]}` helps", exit_code=1)
    path = ROOT / "solutions" / FOLDER / FILE
    if not path.exists():
        raise UserError("this copy of the course has no solutions: ask your instructor")
    source = re.sub(r"^ *### (BEGIN|END) SOLUTION.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    console.print(Syntax(source, "python", background_color="default"))
    return 0


def reset(folder: Path = EXERCISES) -> int:
    """Puts the starter back; what was there is kept beside."""
    path = folder / FOLDER / FILE
    kept = folder / "kept" / f"chat_server.{datetime.now(UTC):%Y%m%d-%H%M%S}.py"
    if path.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.move(path, kept)
    put(folder / FOLDER)
    Reached(folder).forget([level.id for level in load().capstone.levels])
    console.print("The capstone is as it was handed out.", markup=False, highlight=False)
    if kept.exists():
        console.print(f"What you had is in {kept}.", markup=False, highlight=False)
    return 0


def _ask(levels: list[LevelInfo], folder: Path) -> int:
    try:
        source = source_of(read_file(folder / FOLDER / FILE, folder))
    except Unreadable as error:
        if error.status == "missing":
            console.print(f"{FILE}: {error.message}. The task is in {TASK}.", markup=False, highlight=False)
            console.print("`course check --reset capstone` writes the starter anew.", markup=False, highlight=False)
            return 1
        raise UserError(f"{folder / FOLDER / FILE}: {error.message}", exit_code=1) from None
    with _bar(levels) as tell:
        results = judge(source, levels, Limits(), tell)
    Reached(folder).note(results)
    show(load().capstone.as_chapter(), results)
    if any(result.status != "passed" for result in results):
        show_next(results)
        return 1
    is_all = len(levels) == len(load().capstone.levels)
    what_next = "Compare with ours: course check --solution capstone" if is_all else "On to the next level"
    console.print(f"\nAll promises kept. {what_next}", highlight=False)
    return 0


@contextmanager
def _bar(levels: list[LevelInfo]) -> Iterator[Tell]:
    names = {number: [n for one in levels if one.instances == number for n in one.checks] for number in (1, 2)}
    total = sum(len(chosen_checks(tuple(some))) for some in names.values() if some)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        line = progress.add_task("Asking your server", total=total)
        yield lambda _: progress.advance(line)
