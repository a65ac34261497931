"""SQLite: one file, one writer at a time."""

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from reference_impl.model.errors import ChatError, Unavailable

BUSY_TIMEOUT_MS = 5000
"""How long a write waits for another process's write before it fails."""


class SqliteBackend:
    """Gives every connection the settings that the promises rest on."""

    deadline_s: float | None = None
    errors: tuple[type[Exception], ...] = (DBAPIError,)

    def __init__(self, url: URL) -> None:
        self.writer = create_async_engine(url.set(drivername="sqlite+aiosqlite"))
        self.reader = self.writer.execution_options(read_only=True)
        self.turn = asyncio.Lock()  # within an instance, waiting here beats SQLite's polling for its lock
        event.listen(self.writer.sync_engine, "connect", _prepare_connection)
        event.listen(self.writer.sync_engine, "begin", _begin)

    async def prepare(self) -> None:
        """Turns the write-ahead log on, for good: with it, readers do not wait for the writer."""
        await asyncio.to_thread(_switch_to_wal, self.writer.url.database or ":memory:")

    async def lock_schema(self, connection: AsyncConnection) -> None:
        """Nothing to do: a transaction that writes has the whole file to itself from its beginning."""

    def translate(self, error: Exception) -> ChatError:  # noqa: ARG002 - they all mean the same here
        """The file is locked for too long, or out of reach."""
        return Unavailable("the database is away or busy; nothing was stored")


def _switch_to_wal(path: str) -> None:
    """Alone among statements this one does not wait for its turn when several instances start at once: it
    fails with "database is locked". So it is tried again.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
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


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own; _begin does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit is on the disk, not only in its cache: an ack promises that
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer takes the lock first: a transaction that reads and then writes could fail half-way instead of waiting.
    read_only = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
