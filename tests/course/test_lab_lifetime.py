"""A lab in a plain script: no warning, no task, no process and no folder is left, however the script ends.

``tests/integration/test_orphans.py`` has the plain kill of a running lab and of `course serve`.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from os import environ
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
GONE_S = 30.0
"""Usually one second or less; a busy machine takes longer."""

SCRIPT = """
import asyncio, sys
from course import Lab

async def main():
    lab = await Lab.start(instances=2)
    alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
    await alice.send("hello")
    await bob.expect("new_message", text="hello")
    print("ready", flush=True)
    {ending}

asyncio.run(main())
"""

ENDINGS = {
    "it stops the lab": ("await lab.stop(); assert len(asyncio.all_tasks()) == 1", 0),
    "it forgets to": ("return", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("1 / 0", 1),
    "os._exit": ("import os; os._exit(4)", 4),
}


def _environment(folder: Path) -> dict[str, str]:
    return dict(environ) | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("how", ENDINGS)
def test_nothing_outlives_a_script(how: str, tmp_path: Path) -> None:
    """Every way a script can end by itself."""
    ending, code = ENDINGS[how]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(ending=ending)],
        env=_environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert "ready" in ended.stdout
    _within(GONE_S, lambda: not _mine(tmp_path) and not list(tmp_path.iterdir()))


def test_a_stopped_lab_causes_no_warning(tmp_path: Path) -> None:
    """In Python's development mode: no unawaited coroutine, no pending task, no unclosed socket or process."""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT.format(ending="await lab.stop()")],
        env=_environment(tmp_path) | {"PYTHONASYNCIODEBUG": "0"},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    # Debug mode also notes callbacks of over 0.1 s: that is the machine's business.
    warnings = [line for line in ended.stderr.splitlines() if not line.startswith("Executing <")]
    assert (ended.returncode, ended.stdout, warnings) == (0, "ready\n", [])


@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3, 0.5])
def test_a_lab_that_is_killed_while_it_starts_leaves_nothing(after: float, tmp_path: Path) -> None:
    """kill -9 some moments after its first folder is there: guards, Redis and instances are half up."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(ending="await asyncio.sleep(60)")],
        env=_environment(tmp_path), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as owner:  # fmt: skip
        _within(30, lambda: bool(list(tmp_path.glob("breakwire-*"))))
        time.sleep(after)  # not to wait for something, but to hit another moment of the start
        owner.kill()
        owner.wait(5)
    _within(GONE_S, lambda: not _mine(tmp_path) and not list(tmp_path.glob("breakwire-*")))


def _mine(folder: Path) -> list[psutil.Process]:
    """Every process that was started with this folder for its temporary files, whoever its parent is by now."""
    return [process for process in psutil.process_iter() if _temporary_folder(process) == str(folder)]


def _temporary_folder(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("TMPDIR")
    except (psutil.Error, OSError):
        return None


def _within(seconds: float, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)  # another process's end offers nothing to wait on
