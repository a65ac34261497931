"""A pytest plugin: tells the grader, line by line, how far a notebook has come.

It writes to a pipe that only this process has. The kernel, where the learner's code runs, can not reach it.
A kernel that dies, a cell without end and a flood of output are noticed at once and end the run: the grader
knows from the last line which cell it was, and goes on without it.
"""

import contextlib
import ctypes
import json
import os
import sys
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from queue import Empty
from typing import Any, NoReturn

import nbval.kernel
import pytest

from course.grader.names import CELL_TIMEOUT, PIPE

MAX_OUTPUT_BYTES = 4 * 2**20
MAX_EVIDENCE_BYTES = 16 * 2**20
POLL_S = 0.2
PR_SET_DUMPABLE = 4

_pipe = int(os.environ.pop(PIPE, "-1"))
_cell_timeout_s = float(os.environ.pop(CELL_TIMEOUT, "20"))
if sys.platform == "linux" and _pipe >= 0:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)  # no other process of this user may look into this one


def tell(**event: Any) -> None:
    """One line to the grader."""
    line = json.dumps(event).encode() + b"\n"
    while line:
        line = line[os.write(_pipe, line) :]


def stop(why: str) -> NoReturn:
    """Ends the run here. The sandbox ends the kernel."""
    tell(ended=why)
    os._exit(0)


def get_message(self: Any, stream: str, timeout: float | None = None) -> Any:
    """Replaces nbval's: looks after the kernel while it waits, and reads its output in the meantime."""
    kept = self.__dict__.setdefault("kept", deque())
    if stream == "iopub" and kept:
        return kept.popleft()
    end = time.monotonic() + (timeout if timeout is not None else _cell_timeout_s)
    while time.monotonic() < end:
        with contextlib.suppress(Empty):
            if stream == "iopub":
                return _counted(self, self.kc.get_iopub_msg(timeout=POLL_S))
            _keep_output(self, kept)
            return self.kc.get_shell_msg(timeout=POLL_S)
        if not self.km.is_alive():
            stop("died")
    if stream == "shell":
        stop("timeout")
    raise Empty


def _keep_output(kernel: Any, kept: deque[Any]) -> None:
    with contextlib.suppress(Empty):
        while True:
            kept.append(_counted(kernel, kernel.kc.get_iopub_msg(timeout=0)))


def _counted(kernel: Any, message: Any) -> Any:
    size = len(str(message.get("content", "")))
    kernel.output = getattr(kernel, "output", 0) + size
    if kernel.output > MAX_OUTPUT_BYTES:
        stop("flooded")
    return message


nbval.kernel.RunningKernel.get_message = get_message


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Generator[None, object, object]:
    """Which cell starts, how it ended, and what its check has written down."""
    label = item.cell.metadata.get("breakwire", "")
    tell(starts=label)
    passed = False
    try:
        result = yield
        passed = True
        return result
    finally:
        tell(ends=label, passed=passed, error=_error_of(item))
        if label.startswith("check:"):
            _tell_evidence(label.removeprefix("check:"))


def _error_of(item: Any) -> str:
    for output in item.test_outputs or ():
        if output.output_type == "error":
            return f"{output['ename']}: {output['evalue']}".rstrip(": ")[:500]
    return ""


def _tell_evidence(check_id: str) -> None:
    path = Path(f"evidence-{check_id}.json")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.is_symlink() or path.stat().st_size > MAX_EVIDENCE_BYTES:
            stop("flooded")
        tell(evidence=check_id, content=path.read_text(encoding="utf-8"))


def pytest_sessionfinish() -> None:
    """The last line, if nothing went wrong."""
    tell(ended="finished")
