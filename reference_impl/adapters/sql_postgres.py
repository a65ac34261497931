"""PostgreSQL: many writers at a time, which row locks keep in order."""

import asyncio
from typing import Any

import asyncpg
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from reference_impl.adapters.sql_backend import Conflict, Result, Work
from reference_impl.model.errors import ChatError, Invalid, Unavailable

CONNECT_DEADLINE_S = 5
DEADLINE_S = 8.0
LOCK_TIMEOUT_MS = 5000
"""How long a statement waits for another transaction's lock before it fails."""

IDLE_TIMEOUT_MS = 4000
"""After so long in a transaction without a word, an instance loses it, and its locks: it is paused, or its host is
gone. Shorter than the wait for a lock, so that those who wait for it get on."""

UPGRADE_TIMEOUT_MS = 300_000
POOL_SIZE = 10
MOST_CONNECTIONS = 20
SCHEMA_LOCK = 0x627265616B  # any number that nobody else locks: "break"

CONFLICTS = {
    "23505",  # unique violation: another instance stored the same key first
    "40001",  # serialization failure
    "40P01",  # deadlock
}
BAD_DATA = "22"  # the class of errors about values: too long, out of range, a NUL in a text
LOST_AND_FOUND = "nothing was stored, unless the connection broke during the commit itself"


class PostgresBackend:
    """A pool of connections; each is tested before use, so a restart of the server costs no request.

    Every transaction has a deadline of its own. asyncpg's ``command_timeout`` is not used for that: it asks
    the server to cancel, over a new connection, and waits for this without a limit.
    """

    deadline_s = DEADLINE_S
    errors: tuple[type[Exception], ...] = (
        DBAPIError,
        PoolTimeoutError,
        OSError,  # a connection that is refused or breaks, and TimeoutError
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    )

    def __init__(self, url: URL) -> None:
        """Raises ``ValueError`` with what to write."""
        self.writer = create_async_engine(
            _without_options(url).set(drivername="postgresql+asyncpg"),
            pool_pre_ping=True,
            pool_size=POOL_SIZE,
            max_overflow=MOST_CONNECTIONS - POOL_SIZE,
            pool_timeout=CONNECT_DEADLINE_S,
            connect_args=_connect_arguments(url),
        )
        self.reader = self.writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def prepare(self) -> None:
        """Nothing to do."""

    async def read(self, work: Work[Result]) -> Result:
        """Over one snapshot."""
        async with asyncio.timeout(self.deadline_s), self.reader.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Work[Result], deadline_s: float | None = None) -> Result:
        """Row locks keep the writers in order."""
        async with asyncio.timeout(deadline_s or self.deadline_s), self.writer.begin() as connection:
            return await connection.run_sync(work)

    def lock_schema(self, connection: Connection) -> None:
        """One instance at a time; a large table may take its time."""
        for setting in ("lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {setting} = {UPGRADE_TIMEOUT_MS}"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))

    async def stop(self) -> None:
        """Closes the pool."""
        await self.writer.dispose()

    def translate(self, error: Exception) -> ChatError:
        """By PostgreSQL's five-letter code, where there is one."""
        code = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
        if code in CONFLICTS:
            return Conflict("the database is busy; nothing was stored")
        if code.startswith(BAD_DATA):
            return Invalid("too long, too large, or with a NUL character: the database can not hold this")
        return Unavailable(f"the database is away or busy; {LOST_AND_FOUND}")


def _without_options(url: URL) -> URL:
    if not url.host or not url.database:
        raise ValueError("DATABASE_URL needs a host and a database: postgresql://user:password@localhost/chat")
    if unknown := sorted(url.query.keys() - {"sslmode"}):
        raise ValueError(f"DATABASE_URL: the option {unknown[0]} is not known; sslmode is the only one")
    return url.set(query={})


def _connect_arguments(url: URL) -> dict[str, Any]:
    settings = {
        "application_name": "breakwire",
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT_MS),
        "synchronous_commit": "on",  # an ack promises that the message is on the disk, whatever the server's default
    }
    arguments: dict[str, Any] = {"timeout": CONNECT_DEADLINE_S, "server_settings": settings}
    if (mode := url.query.get("sslmode")) is not None:
        if mode not in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
            raise ValueError("DATABASE_URL: sslmode is disable, allow, prefer, require, verify-ca or verify-full")
        arguments["ssl"] = mode
    return arguments
