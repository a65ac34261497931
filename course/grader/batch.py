"""``course grade``: a class, unattended. One broken submission never stops it, and an interrupt loses nothing."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from course.capstone.judge import judge, source_of
from course.errors import UserError
from course.grader.folder import Student, students_of
from course.grader.generate import exercise
from course.grader.manual import explain_texts
from course.grader.notebooks import Notebook
from course.grader.process import Limits, Stopped, isolation
from course.grader.report import write_reports
from course.grader.run import Result, grade
from course.grader.store import Graded, Store, fingerprint, row_of
from course.grader.submission import Cell, Unreadable, parse
from course.manifest import ChapterInfo, load

INTERRUPTED = 130
console = Console(soft_wrap=True, stderr=True)


class Task(NamedTuple):
    """One notebook to grade, or a server."""

    student: Student
    chapter: ChapterInfo


def run_grade(
    submissions: Path,
    out: Path,
    *,
    jobs: int,
    timeout_s: float,
    chapters: list[int] | None = None,
    capstone: bool = True,
    again: bool = False,
) -> int:
    """Grades all submissions and writes the reports. Returns 0, or 130 after an interrupt. Raises ``UserError``.

    What was graded before and has not changed is kept, unless ``again``. ``chapters``: these notebooks only, which
    may be none; ``capstone``: also the servers that are there.
    """
    chosen = load().chapters if chapters is None else [load().chapter(number) for number in chapters]
    students = students_of(submissions)
    _check_out(out, submissions)
    if reason := isolation():
        console.print(f"[yellow]Limited isolation here ({escape(reason)}): see docs/grading.md[/]")
    limits = Limits(timeout_s, hidden=(str(submissions.resolve()), str(out.resolve())))
    batch = Batch(Store(out / "kept"), limits, {c.name: exercise(c.name) for c in chosen}, again=again)
    servers = _servers(students) if capstone else []
    tasks = [Task(student, chapter) for student in students for chapter in chosen] + servers
    graded_chapters = [*chosen, *(servers[0].chapter for _ in servers[:1])]
    try:
        with _interrupts_set(batch.stop):
            graded = batch.run(tasks, jobs)
            said = write_reports(out, graded_chapters, students, graded)
    except OSError as error:
        raise UserError(f"the results can not be written: {error}") from error
    for line in said:
        console.print(line, markup=False)
    if len(graded) < len(tasks):
        console.print(f"\nInterrupted: {len(graded)} of {_counted(tasks)} are graded.", markup=False)
        console.print(f"Their results are in {out}.", markup=False)
        console.print("Run the same command again to go on from here.")
        return INTERRUPTED
    sys.stdout.write(f"{len(students)} students, {_counted(tasks)}: {out / 'class.html'}\n")
    return 0


def _servers(students: list[Student]) -> list[Task]:
    """The capstones to grade: those that are there; of everybody, if the manifest says that they count."""
    capstone = load().capstone
    return [Task(one, capstone.as_chapter()) for one in students if capstone.counts or one.has_server]


def _counted(tasks: list[Task]) -> str:
    servers = sum(task.chapter.is_capstone for task in tasks)
    return f"{len(tasks) - servers} notebooks" + (f", {servers} servers" if servers else "")


@contextlib.contextmanager
def _interrupts_set(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the batch, not the program: the results are still to be written."""

    def interrupt(*_: Any) -> None:
        stop.set()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_out(out: Path, submissions: Path) -> None:
    if out.resolve().is_relative_to(submissions.resolve()):
        raise UserError(f"--out {out} lies inside the submissions: choose a folder beside them")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} can not be made: {error.strerror}") from error


class Batch:
    """Grades notebooks, several at a time."""

    def __init__(self, store: Store, limits: Limits, pristine: dict[str, Notebook], *, again: bool) -> None:
        self._store = store
        self.stop = threading.Event()
        self._limits = limits._replace(stop=self.stop)
        self._pristine = pristine
        self._again = again

    def run(self, tasks: list[Task], jobs: int) -> list[Graded]:
        """The results, in the order of ``tasks``; of some only when ``stop`` was set."""
        with _progress() as bar, ThreadPoolExecutor(jobs) as pool:
            line = bar.add_task("Grading", total=len(tasks))
            futures = [pool.submit(self._one, task) for task in tasks]
            left = set(futures)
            while left and not self.stop.is_set():
                done, left = wait(left, timeout=0.2, return_when=FIRST_COMPLETED)
                bar.update(line, advance=len(done))
            if self.stop.is_set():
                bar.update(line, description="Stopping")
                pool.shutdown(wait=True, cancel_futures=True)
        results = [future.result() for future in futures if not future.cancelled()]
        return [graded for graded in results if graded is not None]

    def _one(self, task: Task) -> Graded | None:
        """One notebook or server; whatever is in it, it has a result. None after an interrupt."""
        name, start = task.chapter.name, time.monotonic()
        cells: list[Cell] = []
        mark = ""
        try:
            if self.stop.is_set():
                return None
            content = task.student.content(name)
            mark = fingerprint(content, task.chapter, self._limits.wall_clock_s)
            kept = self._store.get(task.student.name, name)
            if kept is not None and kept.fingerprint == mark and not self._again:
                return kept
            if task.chapter.is_capstone:
                results = judge(source_of(content), load().capstone.levels, self._limits)
            else:
                cells = parse(content)
                results = grade(task.chapter, self._pristine[name], cells, self._limits)
        except Stopped:
            return None
        except Unreadable as error:
            results = _all(task.chapter, error)
        except Exception as error:  # noqa: BLE001 - one submission must not stop the batch
            mark = ""  # it may be the machine's fault: the next run tries again
            what = "server" if task.chapter.is_capstone else "notebook"
            says = f"the grader itself failed on this {what} ({type(error).__name__}: {error})"
            results = _all(task.chapter, Unreadable("crashed", says[:500]))
        rows, seconds = [row_of(result) for result in results], round(time.monotonic() - start, 2)
        explained = {} if task.chapter.is_capstone else explain_texts(self._pristine[name], cells)
        graded = Graded(task.student.name, name, mark, seconds, rows, explained)
        self._store.put(graded)
        return graded


def _all(chapter: ChapterInfo, error: Unreadable) -> list[Result]:
    return [Result(check, 0, error.status, error.message) for check in chapter.checks]


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
