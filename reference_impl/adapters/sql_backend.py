"""What differs between the databases, behind one protocol. Everything else in the stores is the same SQL."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from reference_impl.model.errors import ChatError, Unavailable

Result = TypeVar("Result")

Work = Callable[[Connection], Result]
"""What a transaction does: a plain function, so that it costs one hop off the event loop, however many statements
it has. It may run more than once, and on any thread: it decides on what it reads, and changes nothing but the
database. (A group commit's takes its group, the same each time.)"""


class Conflict(Unavailable):
    """Another instance got in between, and nothing was stored. The same transaction, run again, sees what it did."""


class SqlBackend(Protocol):
    """One kind of database. ``sql_sqlite.py`` and ``sql_postgres.py`` are the two there are.

    A caller that is cancelled leaves no half transaction: all of it happens, or nothing.
    """

    errors: tuple[type[Exception], ...]
    """What the driver raises."""

    async def prepare(self) -> None:
        """What has to be done once, before the first transaction. Raises ``Unavailable``."""

    async def read(self, work: Work[Result]) -> Result:
        """Runs ``work`` over one state of the database; waits for no writer."""

    async def write(self, work: Work[Result], deadline_s: float | None = None) -> Result:
        """Runs ``work`` in a transaction. It takes ``deadline_s`` at most, or the backend's own deadline."""

    def lock_schema(self, connection: Connection) -> None:
        """Waits until no other instance is making or changing tables, and keeps them out until the commit."""

    def translate(self, error: Exception) -> ChatError:
        """One of ``errors``, in the server's own words."""

    async def stop(self) -> None:
        """Closes all connections. Idempotent."""
