"""Instances behave the same whether they are forks of one process or programs of their own."""

import asyncio
import json
import os
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi import FastAPI
from uuid_utils import uuid7

from course.errors import UserError
from course.workbench import carry, forks
from course.workbench.forks import SharedForkServer, can_fork
from course.workbench.job import Job
from course.workbench.process import InstanceProcess, child_environment

ENDED_S = 20.0


@pytest.fixture
def server() -> Iterator[SharedForkServer]:
    """A fork server of this test's own."""
    if not can_fork():
        pytest.skip("this system can not fork")
    shared = SharedForkServer()
    shared.join(child_environment({}))
    yield shared
    shared.leave()


@pytest.fixture(params=["forked", "a program of its own"])
def starting(request: pytest.FixtureRequest) -> SharedForkServer | None:
    """Both ways to start an instance."""
    server: SharedForkServer | None = request.getfixturevalue("server") if request.param == "forked" else None
    return server


@asynccontextmanager
async def running(
    app: Callable[[], Any], folder: Path, forks: SharedForkServer | None, **settings: str
) -> AsyncIterator[InstanceProcess]:
    """An instance that runs ``app``."""
    job = Job(host="127.0.0.1", port=0, app_file=carry.write(app, folder / "app.pickle"))
    instance = InstanceProcess("it", job, child_environment(settings), folder / "it.log", forks)
    try:
        yield await instance.start()
    finally:
        await instance.stop()


def make_reporter() -> Any:
    """An app that writes down what it sees of its process as it starts."""
    files = list(Path("/proc/self/fd").iterdir())
    seen = {
        "pid": os.getpid(),
        "folder": str(Path.cwd()),
        "setting": os.environ.get("CHAT_INSTANCE_ID"),
        "ours": os.environ.get("BREAKWIRE_TEST"),
        "files": sorted(str(file.readlink()).partition(":")[0] for file in files if file.exists()),
        "chance": [random.random(), secrets.token_hex(8), str(uuid7())[14:]],
        "signals": [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGCHLD)],
        "read": sys.stdin.read(),
    }
    print(json.dumps(seen))  # noqa: T201
    return FastAPI()


def seen_by(instance: InstanceProcess) -> dict[str, Any]:
    """What the reporter wrote."""
    lines = instance.log.read_text().splitlines()
    found: dict[str, Any] = json.loads(next(line for line in lines if line.startswith("{")))
    return found


async def test_it_is_a_process_as_any_other(
    starting: SharedForkServer | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own pid, folder, signals and log; the environment that we have now; nothing to read; no file too many."""
    monkeypatch.setenv("BREAKWIRE_TEST", "set after the fork server was started")
    async with running(make_reporter, tmp_path, starting, CHAT_INSTANCE_ID="seven") as instance:
        seen = seen_by(instance)
        assert seen["pid"] == instance.pid
        assert seen["folder"] == str(tmp_path)
        assert (seen["setting"], seen["ours"]) == ("seven", "set after the fork server was started")
        assert seen["signals"] == [True, True]
        assert seen["read"] == ""
        # Standard input, output and error; the link to us, twice; the listening socket.
        assert len(seen["files"]) <= 6, seen["files"]


async def test_chance_differs_between_two_forks(server: SharedForkServer, tmp_path: Path) -> None:
    """They have the memory of one process. What they draw, the ids of messages above all, is not the same."""
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with running(make_reporter, tmp_path / name, server) as instance:
            drawn.append(seen_by(instance)["chance"])
    assert not set(drawn[0]) & set(drawn[1])


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", -15), ("SIGKILL", -9)])
async def test_it_ends_as_the_signal_says(
    number: str, code: int, starting: SharedForkServer | None, tmp_path: Path
) -> None:
    """The owner hears of it, and no zombie is left. (A plain uvicorn raises SIGTERM again at its end.)"""
    async with running(make_reporter, tmp_path, starting) as instance:
        pid = instance.pid
        assert pid is not None
        os.kill(pid, getattr(signal, number))
        async with asyncio.timeout(ENDED_S):
            while instance.is_running:  # noqa: ASYNC110 - it is what `course serve` does
                await asyncio.sleep(0.01)
        assert instance.returncode == code
        assert not psutil.pid_exists(pid)


async def test_it_starts_again_where_it_was(starting: SharedForkServer | None, tmp_path: Path) -> None:
    """A new process on the same port."""
    async with running(make_reporter, tmp_path, starting) as instance:
        port, pid = instance.port, instance.pid
        await instance.kill()
        await instance.start()
        assert instance.port == port
        assert instance.pid != pid


async def test_ctrl_c_is_not_for_instances(starting: SharedForkServer | None, tmp_path: Path) -> None:
    """A terminal sends it to everybody. What it means is for the owner to decide."""
    async with running(make_reporter, tmp_path, starting) as instance:
        family = [psutil.Process(instance.pid), *psutil.Process(instance.pid).parents()]
        for process in family:
            if process.pid not in {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}:
                process.send_signal(signal.SIGINT)
        await instance.ask("snapshot")
        assert instance.is_running


async def test_a_fork_server_that_is_killed_takes_its_forks_along(server: SharedForkServer, tmp_path: Path) -> None:
    """The owner hears of it; the next start has a new one."""
    async with running(make_reporter, tmp_path, server) as instance:
        pid = instance.pid
        assert pid is not None
        parent = psutil.Process(pid).parent()
        assert parent is not None
        assert parent.pid != os.getpid()
        parent.kill()
        async with asyncio.timeout(ENDED_S):
            while instance.is_running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert instance.returncode == -9
        await instance.kill()
        await instance.start()
        assert instance.pid not in {None, pid}


async def test_an_edit_of_the_server_counts_at_the_next_start(
    server: SharedForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who changes a file of the server does not meet the old one again; what runs goes on."""
    (tmp_path / "reference_impl").mkdir()
    (tmp_path / "reference_impl" / "part.py").touch()
    async with running(make_reporter, tmp_path, server) as instance:
        assert instance.pid is not None
        first = psutil.Process(instance.pid).ppid()
        monkeypatch.setattr(forks, "ROOT", tmp_path)
        (tmp_path / "reference_impl" / "part.py").write_text("changed = True\n")
        (tmp_path / "second").mkdir()
        async with running(make_reporter, tmp_path / "second", server) as second:
            assert second.pid is not None
            assert psutil.Process(second.pid).ppid() != first
            assert instance.is_running
            await instance.ask("snapshot")


async def test_a_server_that_can_not_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the instance's log, as if there were no fork server."""
    if not can_fork():
        pytest.skip("this system can not fork")
    monkeypatch.setattr(forks, "MODULE", "no_such_module")
    shared = SharedForkServer()
    shared.join(child_environment({}))
    try:
        with pytest.raises(UserError, match="No module named 'no_such_module'"):
            async with running(make_reporter, tmp_path, shared):
                pass
    finally:
        shared.leave()


def test_the_last_user_takes_the_fork_server_along() -> None:
    """No process is left once nobody needs it, unless somebody keeps it."""
    if not can_fork():
        pytest.skip("this system can not fork")
    shared = SharedForkServer()
    before = set(psutil.Process().children())
    with shared.kept():
        shared.join(child_environment({}))
        shared.join(child_environment({}))
        assert len(set(psutil.Process().children()) - before) == 1
        shared.leave()
        shared.leave()
        assert len(set(psutil.Process().children()) - before) == 1
    assert set(psutil.Process().children()) <= before
