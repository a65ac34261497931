"""Many small writes, few transactions."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sized
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Commit = Callable[[Callable[[], list[Item]]], Awaitable[list[Result | Exception]]]
"""Gets a function that gives the group. It may call that on any thread, as late as it likes, and more than once."""


class GroupCommit(Generic[Item, Result]):
    """Collects what arrives while one transaction is on its way to the disk, and puts it into the next one.

    A commit waits for the disk, and the disk takes as long for a hundred rows as for one. Nobody waits for
    what has not arrived: an item that comes alone is written alone, at once. But who commits takes the group as late
    as it can, with SQLite when it has the lock: what arrives until then comes along.
    """

    def __init__(self, commit: "Commit[Item, Result]", *, largest: int) -> None:
        """``commit`` takes a group, writes it in one transaction, and gives for each item its result, or its own error.

        When it raises, nothing of the group was written, and everybody in it gets that error.
        """
        self._commit = commit
        self._largest = largest
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Returns when the item is durable. Raises its own error, or that of the whole group."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="group commit")
        return await answer

    async def stop(self) -> None:
        """Returns when everything submitted is written. Idempotent."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write(_Group(self._waiting, self._largest))
        finally:
            self._writer = None

    async def _write(self, group: "_Group[Item, Result]") -> None:
        try:
            results = await self._commit(group.take)
            _require_one_each(group.take(), results)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, whatever it is
            results = [error] * len(group.take_first())
        for (_, answer), result in zip(group.taken, results, strict=True):
            if answer.done():  # who asked has gone; the write stands
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)


class _Group(Generic[Item, Result]):
    """Those whose items are written together.

    Items are added to ``waiting`` on the event loop, and taken out in the thread that commits. No lock is needed: each
    of the two is one step of a deque, and while one group is written nobody takes another.
    """

    def __init__(self, waiting: deque[tuple[Item, asyncio.Future[Result]]], largest: int) -> None:
        self.taken: list[tuple[Item, asyncio.Future[Result]]] = []
        self._waiting = waiting
        self._largest = largest
        self._first = len(waiting)

    def take(self) -> list[Item]:
        """Those who wait at the first call; and from then on the same."""
        return self._take(len(self._waiting))

    def take_first(self) -> list[Item]:
        """If nobody was taken yet, those who have waited from the beginning: the others have a try of their own."""
        return self._take(self._first)

    def _take(self, count: int) -> list[Item]:
        if not self.taken:
            self.taken = [self._waiting.popleft() for _ in range(min(count, self._largest))]
        return [item for item, _ in self.taken]


def _require_one_each(group: Sized, results: Sized) -> None:
    """A wrong count says nothing about who was written: better an error for all than somebody who waits for ever."""
    if len(results) != len(group):
        raise RuntimeError(f"{len(group)} items were committed, and {len(results)} results came back")
