"""Opens the database, and gives every connection the settings that the promises rest on."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from reference_impl.adapters.sql_schema import metadata
from reference_impl.model.errors import Unavailable

BUSY_TIMEOUT_MS = 5000
"""How long a write waits for another process's write before it fails."""


class SqlDatabase:
    """Connections for reading and transactions for writing."""

    def __init__(self, database_url: str) -> None:
        self._engine = _open_engine(database_url)
        self._reader = self._engine.execution_options(read_only=True)
        self._one_writer = asyncio.Lock()  # within an instance, waiting here beats SQLite's polling for its lock

    async def start(self) -> None:
        """Creates missing tables. The write lock makes instances that start at once take turns."""
        await asyncio.to_thread(_switch_to_wal, self._engine.url.database or ":memory:")
        async with self.write() as connection:
            await connection.run_sync(metadata.create_all)

    async def stop(self) -> None:
        """Closes all connections. Idempotent."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database, and waits for no writer."""
        with _database_errors():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: durable when the block has ended, undone if anything in it raised."""
        with _database_errors():
            async with self._one_writer, self._engine.begin() as connection:
                yield connection


def _open_engine(database_url: str) -> AsyncEngine:
    """The driver is chosen here, so that a URL need not name it. Raises ``ValueError`` with what to write."""
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise ValueError("DATABASE_URL is not a URL; for example sqlite:///chat.db") from error
    if url.get_backend_name() != "sqlite":
        raise ValueError(f"DATABASE_URL: {url.get_backend_name()} is not supported; use sqlite:///path/to/file.db")
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"))
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _switch_to_wal(path: str) -> None:
    """Turns the write-ahead log on, for good: with it, readers do not wait for the writer.

    Alone among statements this one does not wait for its turn when several instances start at once: it
    fails with "database is locked". So it is tried again.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    with closing(sqlite3.connect(path)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise Unavailable(f"the database {path} can not be opened: {error}") from error
                time.sleep(0.01)
            else:
                return


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own; _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit is on the disk, not only in its cache: an ack promises that
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock first: a transaction that reads and then writes could fail half-way instead of waiting.
    read_only = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable("the database is away or busy; nothing was stored") from error
