"""However the owner ends, nothing of it is left after three seconds."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

GONE_S = 10.0
"""Usually one second or less; a busy machine takes longer."""

LAB = """
import asyncio
from course import Lab
async def main():
    lab = await Lab.start(instances=2)
    await lab.client("alice")
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""

COMMANDS = {
    "a lab": [sys.executable, "-c", LAB],
    "course serve": [sys.executable, "-m", "course", "serve", "--port", "0"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_kill_9_of_the_owner_leaves_nothing(name: str, tmp_path: Path) -> None:
    """Processes and temporary folders go with whoever started them, also after SIGKILL."""
    with _running(COMMANDS[name], tmp_path) as owner:
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 4, "two instances, a Redis, and their guards"
        assert list(tmp_path.iterdir()), "it keeps its files here"
        owner.kill()
        owner.wait(5)
    _within(GONE_S, lambda: not any(_is_alive(child) for child in family) and not list(tmp_path.iterdir()))


def test_course_serve_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    """SIGTERM: exit code 0, and nothing left."""
    with _running(COMMANDS["course serve"], tmp_path) as owner:
        family = psutil.Process(owner.pid).children(recursive=True)
        owner.send_signal(signal.SIGTERM)
        assert owner.wait(15) == 0
    _within(GONE_S, lambda: not any(_is_alive(child) for child in family) and not list(tmp_path.iterdir()))


def test_a_killed_instance_of_course_serve_is_said(tmp_path: Path) -> None:
    """The others go on; stderr names the one that has ended."""
    with _running(COMMANDS["course serve"], tmp_path) as owner:
        instances = [c for c in psutil.Process(owner.pid).children(recursive=True) if _runs_an_instance(c)]
        assert len(instances) == 2
        instances[0].kill()
        assert owner.stderr is not None
        assert "has ended with -9" in owner.stderr.readline()
        assert instances[1].is_running()
        owner.send_signal(signal.SIGTERM)
        assert owner.wait(15) == 0


@contextmanager
def _running(command: list[str], folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """An owner whose temporary files go to ``folder``, once it has said ``ready``. Killed at the end."""
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tempfile.gettempdir()
    ) as owner:
        assert owner.stdout is not None
        assert any(line.strip() == "ready" for line in owner.stdout), "it did not start"
        try:
            yield owner
        finally:
            owner.kill()


def _runs_an_instance(child: psutil.Process) -> bool:
    return "course.workbench.instance" in child.cmdline()


def _is_alive(child: psutil.Process) -> bool:
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _within(seconds: float, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)  # another process's end offers nothing to wait on
