"""What differs between the databases, behind one protocol. Everything else in the stores is the same SQL."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reference_impl.model.errors import ChatError, Unavailable


class Conflict(Unavailable):
    """Another instance got in between, and nothing was stored. The same transaction, run again, sees what it did."""


class SqlBackend(Protocol):
    """One kind of database. ``sql_sqlite.py`` and ``sql_postgres.py`` are the two there are."""

    writer: AsyncEngine
    """Its transactions write."""
    reader: AsyncEngine
    """The same connections; its transactions see one state and wait for no writer."""
    deadline_s: float | None
    """How long a transaction may take in all, waiting included. None: the driver limits its waits itself."""
    errors: tuple[type[Exception], ...]
    """What the driver raises."""

    @property
    def turn(self) -> AbstractAsyncContextManager[Any]:
        """Held while this instance writes."""

    async def prepare(self) -> None:
        """What has to be done once, before the first transaction. Raises ``Unavailable``."""

    async def lock_schema(self, connection: AsyncConnection) -> None:
        """Waits until no other instance is making or changing tables, and keeps them out until the commit."""

    def translate(self, error: Exception) -> ChatError:
        """One of ``errors``, in the server's own words."""
