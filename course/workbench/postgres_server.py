"""A PostgreSQL for tests and the lab: one that is there, or one of our own that leaves nothing behind."""

import asyncio
import os
import secrets
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import asyncpg

from course.errors import UserError
from course.workbench.guarded import GuardedFolder
from course.workbench.postgres_choice import (
    find_postgres,
    programs_for_everybody,
    require_reachable_temp,
    unprivileged_user,
)

INITDB_DEADLINE_S = 60.0
START_DEADLINE_S = ANSWER_DEADLINE_S = 20.0
USER = "breakwire"
STOP_SIGNAL = "SIGQUIT"
"""PostgreSQL's immediate shutdown: it waits for no client and frees its shared memory, which SIGKILL would leave."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # files in our folder, so that they go with it
    "max_connections": "200",
    "shared_buffers": "32MB",
    # None of these touches what a commit promises; they save processes and work that a short life does not need.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
}


class PostgresServer:
    """Runs the chosen PostgreSQL, or connects to it: ``async with PostgresServer() as server: server.url``.

    A server of our own listens on a free loopback port, keeps its data in a temporary folder, and ends with
    this process, however this process ends. ``fsync=False`` is for tests that only count rows: a commit then
    survives the server's crash, and not the machine's.
    """

    def __init__(self, url: str | None = None, *, fsync: bool = True) -> None:
        self.choice = find_postgres(url)
        self.url = self.choice.detail.replace("+asyncpg", "", 1) if self.choice.kind == "url" else ""
        self._fsync = fsync
        self._user = unprivileged_user()
        self._programs = Path(self.choice.detail)
        self._password = secrets.token_hex(16)  # every user of this machine can knock at a loopback port
        self._path = Path()
        self._folder: GuardedFolder | None = None
        self._running: GuardedFolder | None = None
        self._borrowed: list[str] = []

    async def start(self) -> Self:
        """Returns when it answers. Raises ``UserError``."""
        if self.choice.kind == "url":
            await self._run_on_server("SELECT 1")
            return self
        try:
            await asyncio.to_thread(self._make_folder)
            await self._serve_on_a_free_port()
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """Stops what was started, drops what was created on somebody else's server. Idempotent."""
        while self._borrowed:
            await self._run_on_server(f"DROP DATABASE IF EXISTS {self._borrowed.pop()} WITH (FORCE)")
        for guarded in (self._running, self._folder):
            if guarded is not None:
                await asyncio.to_thread(guarded.remove)
        self._running = self._folder = None

    async def create_database(self) -> str:
        """The URL of a fresh, empty database. Raises ``UserError``."""
        name = f"breakwire_{secrets.token_hex(6)}"
        await self._run_on_server(f"CREATE DATABASE {name}")
        if self.choice.kind == "url":
            self._borrowed.append(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    async def crash(self) -> None:
        """Ends every connection and stops answering, at once; the data stay. Raises ``UserError`` if not ours."""
        if self._running is None:
            raise UserError("only a PostgreSQL that we run ourselves can be stopped and started")
        await asyncio.to_thread(self._running.remove)

    async def restart(self) -> None:
        """A crash, and a start on the same port with the same data. Raises ``UserError``."""
        await self.crash()
        if not await self._serve(urlsplit(self.url).port or 0):
            raise UserError(f"PostgreSQL does not start again: {self._last_words()}")

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _make_folder(self) -> None:
        """The folder with everything: password, data, log. Raises ``UserError``."""
        if self._user is not None:
            require_reachable_temp()
        self._folder = GuardedFolder("breakwire-postgres-")
        self._path = self._folder.path
        (self._path / "password").write_text(self._password)
        if self._user is not None:
            self._programs = programs_for_everybody(self.choice, self._path / "programs")
            for path in (self._path, self._path / "password"):
                os.chown(path, *self._user)
        self._make_data()

    def _make_data(self) -> None:
        made = self._guarded("initdb", [
            "--pgdata", str(self._path / "data"), "--username", USER, "--pwfile", str(self._path / "password"),
            "--auth", "password", "--encoding", "UTF8", "--no-locale", "--no-sync",
        ])  # fmt: skip
        try:
            succeeded = made.wait(INITDB_DEADLINE_S) == 0
        except subprocess.TimeoutExpired:
            succeeded = False
        made.remove()
        if not succeeded:
            raise UserError(f"{self._programs / 'initdb'} fails: {self._last_words()}")

    async def _serve_on_a_free_port(self) -> None:
        for _ in range(5):  # somebody else may take the port between our look and the server's start
            if await self._serve(_free_port()):
                return
        raise UserError(f"PostgreSQL does not start: {self._last_words()}")

    async def _serve(self, port: int) -> bool:
        """Whether a server answers on this port now, and is ours: nobody else knows the password."""
        settings = {**SETTINGS, "fsync": "on" if self._fsync else "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._running = self._guarded("postgres", ["-D", str(self._path / "data"), "-p", str(port), *arguments])
        self.url = f"postgresql://{USER}:{self._password}@127.0.0.1:{port}/postgres"
        end = time.monotonic() + START_DEADLINE_S
        while self._running.is_guarded and time.monotonic() < end:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await _execute(self.url, "SELECT 1")
                return True
            await asyncio.sleep(0.005)  # a starting server offers nothing to wait on
        await asyncio.to_thread(self._running.remove)
        return False

    def _guarded(self, program: str, arguments: list[str]) -> GuardedFolder:
        return GuardedFolder(
            "breakwire-postgres-run-",
            [str(self._programs / program), *arguments],
            run_as=self._user,
            stop_signal=STOP_SIGNAL,
            log=self._path / "log",
        )

    def _last_words(self) -> str:
        lines = (self._path / "log").read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if "FATAL" in line or "error" in line), "it says nothing")

    async def _run_on_server(self, statement: str) -> None:
        """Raises ``UserError`` if the server is away or refuses."""
        try:
            await _execute(self.url, statement)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            place = urlsplit(self.url)
            where = f"{place.hostname}:{place.port or 5432}"  # the whole URL would show the password
            raise UserError(f"PostgreSQL at {where}: {error or type(error).__name__}") from error


async def _execute(url: str, statement: str) -> None:
    async with asyncio.timeout(ANSWER_DEADLINE_S):
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
