"""Runs one notebook's checks, and judges what they brought to light."""

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal, NamedTuple

from course.checks.case import judge_all
from course.checks.check import GRADING, find_check
from course.grader.notebooks import (
    Notebook,
    answers_of,
    grade_id,
    is_answer,
    is_tampered,
    spliced,
    stream_output,
    without_markers,
    write,
)
from course.grader.plugin import PIPE
from course.manifest import ROOT, ChapterInfo, CheckInfo, load

Status = Literal["passed", "failed", "timeout", "crashed", "tampered", "missing"]

CELL_TIMEOUT_S = 20
WALL_CLOCK_S = 60.0
MAX_OUTPUT_BYTES = 4 * 1024 * 1024


class Result(NamedTuple):
    """What one check brought. ``message`` is for the learner."""

    check: CheckInfo
    points: int
    status: Status
    message: str = ""
    misconception: str = ""
    steps: str = ""


class Run(NamedTuple):
    """How the process of one notebook ended."""

    outcomes: list[tuple[str, str]]
    evidence: dict[str, Any]
    ended: Literal["finished", "timeout", "flooded"]


def grade(
    chapter: ChapterInfo, pristine: Notebook, theirs: Notebook, *, wall_clock_s: float = WALL_CLOCK_S
) -> list[Result]:
    """The results of all checks of a chapter for one learner's notebook.

    Their answers are spliced into the pristine notebook. The kernel only shows what the answers do in cases it
    did not know before; the verdict is made here.
    """
    answers = {name: without_markers(source) for name, source in answers_of(theirs).items()}
    seed = secrets.randbits(64)
    jobs = {c.id: {"nonce": secrets.token_hex(16), "cases": _cases(c.id, seed)} for c in chapter.checks}
    run = _run(_prepared(spliced(pristine, answers)), jobs, wall_clock_s)
    missing = {name for name in answers_of(pristine) if name not in answers}
    tampered = is_tampered(pristine, theirs)
    return [_result(check, jobs[check.id], run, missing=bool(missing), tampered=tampered) for check in chapter.checks]


def _cases(check_id: str, seed: int) -> list[Any]:
    return find_check(check_id).cases(random.Random(f"{check_id}/{seed}"))  # noqa: S311 - varied, not secret


def _prepared(notebook: Notebook) -> Notebook:
    """With what nbval compares: each check cell has to print exactly that it has driven its check."""
    for cell in notebook.cells:
        cell.metadata.pop("tags", None)
        if cell.cell_type != "code":
            continue
        cell.execution_count, cell.outputs = 1, []
        name = _check_of(cell)
        if name is not None:
            cell.metadata["tags"] = ["nbval-check-output"]
            cell.outputs = [stream_output(f"{name} driven\n")]
    return notebook


def _check_of(cell: Any) -> str | None:
    name = grade_id(cell) or ""
    return name.removeprefix("check-").replace("-", ".") if name.startswith("check-") and not is_answer(cell) else None


def _run(notebook: Notebook, jobs: dict[str, Any], wall_clock_s: float) -> Run:
    with tempfile.TemporaryDirectory(prefix="breakwire-grade-") as name:
        folder = Path(name)
        write(notebook, folder / "graded.ipynb")
        (folder / "pytest.ini").write_text("[pytest]\n")
        for check_id, job in jobs.items():
            (folder / f"cases-{check_id}.json").write_text(json.dumps(job))
        outcomes, ended = _pytest(folder, wall_clock_s)
        return Run(outcomes, {check_id: _evidence(folder, check_id, job) for check_id, job in jobs.items()}, ended)


def _pytest(
    folder: Path, wall_clock_s: float
) -> tuple[list[tuple[str, str]], Literal["finished", "timeout", "flooded"]]:
    """Runs pytest in a session of its own, and ends that session whole, whatever it has started."""
    reading, writing = os.pipe()
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder),
        "-p", "course.grader.plugin", "-p", "no:cacheprovider", "--nbval-lax",
        "--nbval-cell-timeout", str(CELL_TIMEOUT_S), str(folder / "graded.ipynb"),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {
        GRADING: str(folder),
        PIPE: str(writing),
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    process = subprocess.Popen(  # noqa: S603 - our own command line
        command, cwd=folder, env=environment, pass_fds=[writing], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(writing)
    flooded = threading.Event()
    reader = threading.Thread(target=_swallow, args=(process, flooded))
    reader.start()
    ended: Literal["finished", "timeout", "flooded"] = "finished"
    try:
        process.wait(wall_clock_s)
    except subprocess.TimeoutExpired:
        ended = "timeout"
    finally:
        _end_session(process)
        reader.join()
        if process.stdout is not None:
            process.stdout.close()
    with os.fdopen(reading) as results:
        written = results.read()
    return _parsed(written), "flooded" if flooded.is_set() else ended


def _parsed(written: str) -> list[tuple[str, str]]:
    """What the plugin wrote. If anybody else has written into the pipe, it is nothing any more."""
    try:
        return [(str(name), str(outcome)) for name, outcome in json.loads(written)]
    except (ValueError, TypeError):
        return []


def _swallow(process: "subprocess.Popen[bytes]", flooded: threading.Event) -> None:
    """Reads the output so that nothing blocks; ends the run when there is no end to it."""
    size = 0
    while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), 65536)):
        size += len(chunk)
        if size > MAX_OUTPUT_BYTES and not flooded.is_set():
            flooded.set()
            _end_session(process)


def _end_session(process: "subprocess.Popen[bytes]") -> None:
    """The process and everything that it has started and that is still in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _evidence(folder: Path, check_id: str, job: dict[str, Any]) -> list[Any] | None:
    """What the kernel has written down for this very run; None when it did not come to that."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = json.loads((folder / f"evidence-{check_id}.json").read_text())
        if found["nonce"] == job["nonce"] and found["check"] == check_id:
            observations = found["observations"]
            return observations if isinstance(observations, list) else None
    return None


def _result(check: CheckInfo, job: dict[str, Any], run: Run, *, missing: bool, tampered: bool) -> Result:
    cell = f"check-{check.id.replace('.', '-')}"
    outcomes = [outcome for name, outcome in run.outcomes if name == cell]
    observations = run.evidence[check.id]
    if observations is None:
        return _without_evidence(check, run, missing=missing)
    if outcomes != ["passed"]:
        status: Status = "timeout" if run.ended == "timeout" else "crashed"
        return Result(check, 0, status, "the check did not run to its end")
    failure = judge_all(find_check(check.id), job["cases"], observations)
    if failure is None:
        if tampered:
            return Result(check, check.points, "passed", "cells that are not answers were changed; they do not count")
        return Result(check, check.points, "passed")
    if "NotImplementedError" in failure.what:
        return Result(check, 0, "missing", "not started yet")
    return Result(check, 0, "failed", failure.what, failure.misconception, failure.steps)


def _without_evidence(check: CheckInfo, run: Run, *, missing: bool) -> Result:
    if missing:
        return Result(check, 0, "missing", "the answer cell is gone")
    if run.ended == "timeout":
        return Result(check, 0, "timeout", "no end in time: is there a loop that never ends?")
    if run.ended == "flooded":
        return Result(check, 0, "crashed", f"over {MAX_OUTPUT_BYTES // 2**20} MiB of output")
    return Result(
        check, 0, "crashed", "the cells above this check did not run: run them in order and look for an error"
    )


def advice(result: Result) -> str:
    """What the manifest says about a result's misconception."""
    return load().misconceptions.get(result.misconception, "")
