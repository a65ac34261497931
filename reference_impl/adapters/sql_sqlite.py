"""SQLite: one file, one writer at a time."""

import asyncio
import sqlite3
import time
from contextlib import closing

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from reference_impl.adapters.sql_backend import Result, Work
from reference_impl.adapters.sql_threads import TransactionThreads
from reference_impl.model.errors import ChatError, Unavailable

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for those before it, of all instances, before it fails."""

TURN_S = 0.001
"""How often a write looks whether it is its turn. SQLite itself would look less and less often, down to ten times a
second: with two busy instances one of them got hardly any turn, and waited up to 0.6 s."""

READERS = 4
"""Threads that read at a time, each with a connection of its own."""


class SqliteBackend:
    """One thread writes, a few read: the event loop never waits for the disk, and no reader for a writer."""

    errors: tuple[type[Exception], ...] = (DBAPIError, sqlite3.Error)

    def __init__(self, url: URL) -> None:
        self._path = url.database or ":memory:"
        self._writer = TransactionThreads(_engine(url, 0), _begin_writing, threads=1, name="sqlite writer")
        self._readers = (
            self._writer  # another connection would be to another, empty database
            if self._path == ":memory:"
            else TransactionThreads(_engine(url, BUSY_TIMEOUT_S), _begin_reading, threads=READERS, name="sqlite reader")
        )

    async def prepare(self) -> None:
        """Turns the write-ahead log on, for good: with it, readers do not wait for the writer."""
        self._writer.open()
        self._readers.open()
        await asyncio.to_thread(_switch_to_wal, self._path)

    async def read(self, work: Work[Result]) -> Result:
        """In one of the readers' threads."""
        return await self._readers.run(work, BUSY_TIMEOUT_S)

    async def write(self, work: Work[Result], deadline_s: float | None = None) -> Result:
        """In the writer's thread, in the order of the calls."""
        return await self._writer.run(work, deadline_s or BUSY_TIMEOUT_S)

    def lock_schema(self, connection: Connection) -> None:
        """Nothing to do: a transaction that writes has the whole file to itself from its beginning."""

    async def stop(self) -> None:
        """Waits for what is running."""
        await asyncio.gather(self._writer.stop(), self._readers.stop())

    def translate(self, error: Exception) -> ChatError:  # noqa: ARG002 - they all mean the same here
        """The file is locked for too long, or out of reach."""
        return Unavailable("the database is away or busy; nothing was stored")


def _switch_to_wal(path: str) -> None:
    """Alone among statements this one does not wait for its turn when several instances start at once: it
    fails with "database is locked". So it is tried again.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise Unavailable(f"the database {path} can not be opened: {error}") from error
            time.sleep(0.01)
        else:
            return


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", _prepare_connection)
    return engine


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own
    connection.execute(
        "PRAGMA synchronous=FULL"
    )  # a commit is on the disk, not only in its cache: an ack promises that
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_reading(connection: sqlite3.Connection, _give_up_at: float) -> None:
    connection.execute("BEGIN")


def _begin_writing(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Takes the lock first: what reads and then writes could fail half-way instead of waiting."""
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > give_up_at:
                raise
            time.sleep(TURN_S)
        else:
            return
