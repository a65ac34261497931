"""Opens the database, whichever it is, and hands out its transactions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection

from reference_impl.adapters.sql_backend import Conflict, SqlBackend
from reference_impl.adapters.sql_migrations import HEAD, bring_up_to_date, revision_of
from reference_impl.adapters.sql_sqlite import SqliteBackend
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import Health, HealthState

MOST_TRIES = 5
UPGRADE_DEADLINE_S = 300.0

Result = TypeVar("Result")


class SqlDatabase:
    """Connections for reading and transactions for writing."""

    def __init__(self, database_url: str) -> None:
        """Raises ``ValueError`` with what to write."""
        self._backend = _open(database_url)
        self._is_away = False  # as the last reading or writing found it

    async def start(self) -> None:
        """Makes the tables, or brings those of an older release up to date; instances that start at once take turns.

        Raises ``Unavailable`` with the reason.
        """
        backend = self._backend
        try:
            await backend.prepare()
            async with self.read() as connection:
                if await connection.run_sync(revision_of) == HEAD:
                    return
            async with self.write(UPGRADE_DEADLINE_S) as connection:
                await backend.lock_schema(connection)
                await connection.run_sync(bring_up_to_date)
        except Unavailable as error:
            if not isinstance(error.__cause__, backend.errors):  # it says why itself
                raise
            raise Unavailable(f"the database does not open: {_reason(error.__cause__)}") from error.__cause__

    async def stop(self) -> None:
        """Closes all connections. Idempotent."""
        await self._backend.writer.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database, and waits for no writer."""
        backend = self._backend
        with self._translated_errors():
            async with asyncio.timeout(backend.deadline_s), backend.reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, deadline_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction: durable when the block has ended, undone if anything in it raised."""
        backend = self._backend
        deadline = asyncio.timeout(deadline_s or backend.deadline_s)
        with self._translated_errors():
            async with deadline, backend.turn, backend.writer.begin() as connection:
                yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Runs ``work`` in a transaction; once more from the start where another instance got in between.

        ``work`` looks at the database and decides anew each time. No pause in between: the other is through.
        """
        for _ in range(MOST_TRIES - 1):
            with suppress(Conflict):
                async with self.write() as connection:
                    return await work(connection)
        async with self.write() as connection:
            return await work(connection)

    def health(self) -> Health:
        """As the last reading or writing found it; the reconciler reads every second."""
        if self._is_away:
            return Health("store", HealthState.AWAY, "the last reading or writing failed; nothing can be said or read")
        return Health("store")

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
            self._is_away = False
        except self._backend.errors as error:
            translated = self._backend.translate(error)
            self._is_away = isinstance(translated, Unavailable)
            raise translated from error


def _open(database_url: str) -> SqlBackend:
    """The driver is chosen here, so that a URL need not name it."""
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        example = "sqlite:///chat.db or postgresql://user:password@localhost/chat"
        raise ValueError(f"DATABASE_URL is not a URL; for example {example}") from error
    if url.get_backend_name() == "sqlite":
        return SqliteBackend(url)
    if url.get_backend_name() in ("postgresql", "postgres"):
        from reference_impl.adapters.sql_postgres import PostgresBackend  # noqa: PLC0415 - asyncpg takes its time

        return PostgresBackend(url)
    known = "use sqlite:///path/to/file.db or postgresql://user:password@host/name"
    raise ValueError(f"DATABASE_URL: {url.get_backend_name()} is not supported; {known}")


def _reason(error: BaseException) -> str:
    """The driver's own words, one line of them."""
    words = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return words.splitlines()[0]
