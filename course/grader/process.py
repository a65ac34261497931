"""Runs a prepared notebook under pytest and nbval in a sandbox, and collects what comes out of it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from course.errors import UserError
from course.grader.names import CELL_TIMEOUT, PIPE, Ended
from course.grader.notebooks import Notebook, text_of
from course.manifest import ROOT

MEMORY_BYTES = 4 * 2**30
WALL_CLOCK_S = 60.0
CELL_TIMEOUT_S = 20.0
MAX_RESULT_BYTES = 64 * 2**20
STOP_DEADLINE_S = 10.0
TAIL_BYTES = 2000
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")
HIDDEN = ("solutions", "tests", "course/judges", "exercises", ".git", "benchmarks")


class Limits(NamedTuple):
    """What one notebook may use, and which folders it must not see beside the course's own secrets."""

    wall_clock_s: float = WALL_CLOCK_S
    hidden: tuple[str, ...] = ()
    longest_cell_s: float = CELL_TIMEOUT_S
    stop: threading.Event | None = None
    """Set from another thread, it ends the run."""

    @property
    def cell_timeout_s(self) -> float:
        """An endless cell must leave time for the rest of the notebook."""
        return min(self.longest_cell_s, self.wall_clock_s / 2)


class Stopped(Exception):
    """Somebody has set ``Limits.stop``."""


@dataclass
class Run:
    """How far one process came."""

    done: dict[str, str] = field(default_factory=dict)
    """Label of each cell that ended → its error, or nothing."""
    evidence: dict[str, str] = field(default_factory=dict)
    """What each check has written down, as it came."""
    running: str = ""
    """The cell that was running when it ended; nothing when none was."""
    ended: str = "broken"
    """finished, died, timeout, flooded, memory, processes, or broken."""
    said: str = ""
    """The end of what the process has printed: for the one who looks for a mistake in the grader."""


def run_notebook(notebook: Notebook, jobs: dict[str, Any], limits: Limits) -> Run:
    """Runs it. Raises ``Stopped``; ``UserError`` where no such process can be started; nothing for what is in it."""
    if not hasattr(os, "fork"):
        raise UserError("grading needs Linux or macOS; on Windows use WSL")
    reading, writing = os.pipe()
    order = _order(notebook, jobs, writing, limits)
    with subprocess.Popen(
        [sys.executable, "-m", "course.grader.sandbox"],
        cwd=ROOT, pass_fds=[writing], process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        os.close(writing)
        run, tail = Run(), bytearray()
        readers = [
            threading.Thread(target=_read_results, args=(reading, run, process), daemon=True),
            threading.Thread(target=read_tail, args=(process, tail), daemon=True),
        ]
        try:
            send(process, order)
            for reader in readers:
                reader.start()
            code = _wait(process, limits)
        finally:
            stop(process)
            for reader in readers:  # where somebody still holds the other end, they end with this program
                if reader.ident is not None:
                    reader.join(STOP_DEADLINE_S)
            if not readers[0].is_alive():
                os.close(reading)
    if code is None:
        run.ended = "timeout"
    run.said = tail.decode(errors="replace")
    run.ended = {Ended.OUT_OF_MEMORY: "memory", Ended.TOO_MANY_PROCESSES: "processes"}.get(code, run.ended)  # type: ignore[call-overload]
    return run


@cache
def isolation() -> str:
    """Empty where the sandbox can close the door; else the reason why it can not."""
    if sys.platform != "linux":
        return "only Linux has namespaces"
    order = line_of(sandbox_order([], {}, {}, 0))
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "course.grader.sandbox"],
            cwd=ROOT, input=order, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if probe.returncode == 0 else (probe.stdout + probe.stderr).decode(errors="replace").strip()[-200:]


def _order(notebook: Notebook, jobs: dict[str, Any], results: int, limits: Limits) -> bytes:
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", "{folder}/pytest.ini", "--rootdir", "{folder}",
        "-p", "course.no_iri_grammar", "-p", "nbval.plugin", "-p", "course.grader.plugin", "-p", "no:cacheprovider",
        "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", str(limits.cell_timeout_s),
        "{folder}/graded.ipynb",
    ]  # fmt: skip
    environment = base_environment() | {
        "IPYTHONDIR": "{folder}/home/ipython",
        "JUPYTER_CONFIG_DIR": "{folder}/home/jupyter",
        "JUPYTER_RUNTIME_DIR": "{folder}/home/runtime",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        PIPE: str(results),
        CELL_TIMEOUT: str(limits.cell_timeout_s),
    }
    files = {"graded.ipynb": text_of(notebook), "pytest.ini": "[pytest]\n"}
    files |= {f"cases-{check_id}.json": json.dumps(job) for check_id, job in jobs.items()}
    order = sandbox_order(command, environment, files, results)
    order |= {"hidden": [*order["hidden"], *limits.hidden], "isolated": not isolation()}
    return line_of(order)


def base_environment() -> dict[str, str]:
    """What every program in the sandbox finds."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | {
        "HOME": "{folder}/home",
        "TMPDIR": "{folder}/tmp",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def sandbox_order(
    command: list[str], environment: dict[str, str], files: dict[str, str], results: int
) -> dict[str, Any]:
    """An order for ``course.grader.sandbox``; see there."""
    places = (sys.prefix, sys.base_prefix, sys.exec_prefix, str(ROOT), str(Path(sys.executable).resolve().parent))
    visible = sorted({place for name in places for place in (os.path.realpath(name), str(Path(name).absolute()))})
    return {
        "command": command,
        "environment": environment,
        "files": files,
        "results": results,
        "memory_bytes": MEMORY_BYTES,
        "visible": visible,
        "hidden": [str(ROOT / name) for name in HIDDEN],
        "isolated": True,
    }


def line_of(order: dict[str, Any]) -> bytes:
    """An order as the sandbox reads it."""
    return json.dumps(order).encode() + b"\n"


def _wait(process: "subprocess.Popen[bytes]", limits: Limits) -> int | None:
    """The exit code; None when the time was over before."""
    end = time.monotonic() + limits.wall_clock_s
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(min(left, 0.2))
        if limits.stop is not None and limits.stop.is_set():
            raise Stopped
    return None


def send(process: "subprocess.Popen[bytes]", order: bytes) -> None:
    """Gives the sandbox its order."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(order)
            process.stdin.flush()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Closes the pipe: the sandbox ends what it has started, then itself."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_results(reading: int, run: Run, process: "subprocess.Popen[bytes]") -> None:
    """Line by line. What is no event is nothing; somebody who writes without end is stopped."""
    size, rest = 0, b""
    while chunk := os.read(reading, 1 << 16):
        size += len(chunk)
        if size > MAX_RESULT_BYTES:
            run.ended = "flooded"
            if process.stdin is not None:
                process.stdin.close()  # that ends the sandbox
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
                _note(run, json.loads(line))


def _note(run: Run, event: dict[str, Any]) -> None:
    if "starts" in event:
        run.running = str(event["starts"]) or "other"
    elif "ends" in event:
        run.done[str(event["ends"])], run.running = str(event["error"]), ""
    elif "evidence" in event:
        run.evidence.setdefault(str(event["evidence"]), str(event["content"]))
    elif "ended" in event:
        run.ended = str(event["ended"])


def read_tail(process: "subprocess.Popen[bytes]", tail: bytearray) -> None:
    """Keeps the end of what a process prints, until it ends. The rest is thrown away, however much it is."""
    while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), 1 << 16)):
        tail += chunk
        del tail[:-TAIL_BYTES]
        time.sleep(0)
