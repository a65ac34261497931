"""Opens the database, and gives every connection the settings that the promises rest on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
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


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own; _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
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
