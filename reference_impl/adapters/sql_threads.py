"""Threads that run transactions for the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from reference_impl.adapters.sql_backend import Result, Work
from reference_impl.model.errors import Unavailable

Begin = Callable[[Any, float], None]
"""Opens a transaction on a driver's connection; not later than at a ``time.monotonic()``."""


class _Asked(NamedTuple):
    """A transaction, and who waits for what comes of it."""

    work: Work[Any]
    give_up_at: float
    answer: asyncio.Future[Any]


class TransactionThreads:
    """A few threads, each with a connection that it keeps.

    SQLAlchemy takes all that happens on such a connection for one transaction without an end. Ours begin and end
    below it, in the driver: each of SQLAlchemy's own would cost 35 µs more. And the way to a thread and back costs
    11 µs; through ``concurrent.futures``, whose answers any thread may wait for, it would be 28.
    """

    def __init__(self, engine: Engine, begin: Begin, *, threads: int, name: str) -> None:
        self._engine = engine
        self._begin = begin
        self._most = threads
        self._name = name
        self._threads: list[threading.Thread] = []
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()  # None: a thread may end
        self._unanswered = 0
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
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._asked.put(_Asked(work, time.monotonic() + deadline_s, answer))
        self._unanswered += 1
        if len(self._threads) < min(self._unanswered, self._most):
            name = f"{self._name} {len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work_through, name=name, daemon=True))
            self._threads[-1].start()
        return await answer

    def open(self) -> None:
        """Opens it again after ``stop``. It is open from the beginning."""
        self._is_stopped = False

    async def stop(self) -> None:
        """Waits for what was asked for, then closes the connections. Idempotent."""
        self._is_stopped = True
        threads, self._threads = self._threads, []
        for _ in threads:
            self._asked.put(None)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        while self._opened:
            self._opened.pop().close()
        self._engine.dispose()

    def _work_through(self) -> None:
        """What a thread does."""
        while (asked := self._asked.get()) is not None:
            result = error = None
            if not asked.answer.cancelled():
                try:
                    result = self._transact(asked.work, asked.give_up_at)
                except BaseException as failure:  # noqa: BLE001 - it belongs to who waits, whatever it is
                    error = failure
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                asked.answer.get_loop().call_soon_threadsafe(self._give, asked.answer, result, error)
            del asked, result, error  # or a page of history would stay here until there is something else to do

    def _give(self, answer: asyncio.Future[Result], result: Result, error: BaseException | None) -> None:
        self._unanswered -= 1
        if answer.done():
            return  # who asked has gone
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

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
