"""Threads that run transactions for the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine

from reference_impl.adapters.sql_backend import Result, Work
from reference_impl.model.errors import Unavailable

Begin = Callable[[Any, float], None]
"""Opens a transaction on a driver's connection; not later than at a ``time.monotonic()``."""


class TransactionThreads:
    """A few threads, each with a connection that it keeps.

    SQLAlchemy takes all that happens on such a connection for one transaction without an end. Ours begin and end
    below it, in the driver: each of SQLAlchemy's own would cost 35 µs more.
    """

    def __init__(self, engine: Engine, begin: Begin, *, threads: int, name: str) -> None:
        self._engine = engine
        self._begin = begin
        self._make_pool = partial(ThreadPoolExecutor, threads, name)
        self._pool = self._make_pool()
        self._own = threading.local()
        self._opened: set[Connection] = set()
        self._is_stopped = False

    async def run(self, work: Work[Result], deadline_s: float) -> Result:
        """Runs ``work`` in a transaction that begins within ``deadline_s``.

        A caller that is cancelled before that takes it back; later it runs to its end. Raises ``Unavailable``
        after ``stop``.
        """
        if self._is_stopped:
            raise Unavailable("the database is closed")
        give_up_at = time.monotonic() + deadline_s
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._transact, work, give_up_at)

    def open(self) -> None:
        """Opens it again after ``stop``. It is open from the beginning."""
        if self._is_stopped:
            self._pool = self._make_pool()
            self._is_stopped = False

    async def stop(self) -> None:
        """Waits for what was asked for, then closes the connections. Idempotent."""
        self._is_stopped = True
        await asyncio.to_thread(self._pool.shutdown)
        while self._opened:
            self._opened.pop().close()
        self._engine.dispose()

    def _transact(self, work: Work[Result], give_up_at: float) -> Result:
        connection = self._connection()
        driver: Any = connection.connection.driver_connection
        try:
            self._begin(driver, give_up_at)
            result = work(connection)
            driver.commit()
        except BaseException:
            self._drop(connection)
            raise
        return result

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._engine.connect()
            connection.begin()
            self._opened.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        """Closing it undoes what was begun. The next transaction opens another, whatever was wrong with this one."""
        self._own.connection = None
        self._opened.discard(connection)
        connection.invalidate()
        connection.close()
