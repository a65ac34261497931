"""Opens the database, whichever it is, and runs transactions in it."""

from collections.abc import Awaitable, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from reference_impl.adapters.sql_backend import Conflict, Result, SqlBackend, Work
from reference_impl.adapters.sql_migrations import HEAD, bring_up_to_date, revision_of
from reference_impl.adapters.sql_sqlite import SqliteBackend
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import Health, HealthState

MOST_TRIES = 5
UPGRADE_DEADLINE_S = 300.0


class SqlDatabase:
    """Runs what the stores have to do in transactions."""

    def __init__(self, database_url: str) -> None:
        """Raises ``ValueError`` with what to write."""
        self._backend = _open(database_url)
        self._is_away = False  # as the last reading or writing found it

    async def start(self) -> None:
        """Makes the tables, or brings those of an older release up to date; instances that start at once take turns.

        Raises ``Unavailable`` with the reason.
        """
        try:
            await self._backend.prepare()
            if await self.read(revision_of) != HEAD:
                await self.write(self._upgrade, UPGRADE_DEADLINE_S)
        except Unavailable as error:
            if not isinstance(error.__cause__, self._backend.errors):  # it says why itself
                raise
            raise Unavailable(f"the database does not open: {_reason(error.__cause__)}") from error.__cause__

    async def stop(self) -> None:
        """Closes all connections. Idempotent."""
        await self._backend.stop()

    async def read(self, work: Work[Result]) -> Result:
        """Runs ``work`` over one state of the database; waits for no writer."""
        return await self._answer_of(self._backend.read(work))

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """All that one query finds."""
        return await self.read(lambda connection: connection.execute(query).all())

    async def write(self, work: Work[Result], deadline_s: float | None = None) -> Result:
        """Runs ``work`` in a transaction: durable when this returns, undone if it raised.

        Once more from the start where another instance got in between: ``work`` looks at the database and decides
        anew each time. No pause in between: the other is through.
        """
        for _ in range(MOST_TRIES - 1):
            try:
                return await self._write_once(work, deadline_s)
            except Conflict:
                continue
        return await self._write_once(work, deadline_s)

    def health(self) -> Health:
        """As the last reading or writing found it; the reconciler reads every second."""
        if self._is_away:
            return Health("store", HealthState.AWAY, "the last reading or writing failed; nothing can be said or read")
        return Health("store")

    async def _write_once(self, work: Work[Result], deadline_s: float | None) -> Result:
        return await self._answer_of(self._backend.write(work, deadline_s))

    def _upgrade(self, connection: Connection) -> None:
        self._backend.lock_schema(connection)
        bring_up_to_date(connection)

    async def _answer_of(self, asked: Awaitable[Result]) -> Result:
        """Notes how the database is; what the driver raises is raised in the server's words."""
        try:
            answer = await asked
        except self._backend.errors as error:
            translated = self._backend.translate(error)
            self._is_away = isinstance(translated, Unavailable)
            raise translated from error
        self._is_away = False
        return answer


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
