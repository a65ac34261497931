"""Many small writes, few transactions."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.adapters.group_commit import GroupCommit

Take = Callable[[], list[str]]


class Disk:
    """Notes each group. While ``free`` is cleared, a commit stands still."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.begun = asyncio.Event()
        self.broken_for: set[str] = set()

    async def commit(self, take: Take) -> list[str | Exception]:
        group = take()
        self.groups.append(group)
        self.begun.set()
        await self.free.wait()
        if self.broken_for & set(group):
            raise OSError("the disk is full")
        return [ValueError(item) if item.startswith("bad") else item.upper() for item in group]


async def begin(commits: GroupCommit[str, str], disk: Disk, *items: str) -> list[asyncio.Task[str]]:
    """Submits the first item, and the others while it is being committed."""
    disk.free.clear()
    disk.begun.clear()
    first = asyncio.create_task(commits.submit(items[0]))
    async with asyncio.timeout(5):
        await disk.begun.wait()
    others = [asyncio.create_task(commits.submit(item)) for item in items[1:]]
    await asyncio.sleep(0)
    return [first, *others]


async def settled(*work: Awaitable[object]) -> list[object]:
    """What each gave or raised."""
    async with asyncio.timeout(5):
        return await asyncio.gather(*work, return_exceptions=True)


async def test_one_alone_is_written_at_once() -> None:
    """Nobody waits for company: each of three, one after the other, is a group of its own."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=10)
    async with asyncio.timeout(5):
        assert [await commits.submit(item) for item in "abc"] == ["A", "B", "C"]
    assert disk.groups == [["a"], ["b"], ["c"]]


async def test_what_comes_during_a_commit_goes_together_into_the_next() -> None:
    """In the order of arrival, and at most ``largest`` at a time; everybody gets their own result."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=3)
    tasks = await begin(commits, disk, "a", "b", "c", "d", "e")
    assert disk.groups == [["a"]]
    disk.free.set()
    assert await settled(*tasks) == ["A", "B", "C", "D", "E"]
    assert disk.groups == [["a"], ["b", "c", "d"], ["e"]]


async def test_what_comes_before_the_group_is_taken_comes_along() -> None:
    """As late as the one who commits likes; asked again, after a conflict, it is the same group."""
    groups: list[list[str]] = []
    has_lock = asyncio.Event()

    async def commit(take: Take) -> list[str | Exception]:
        await has_lock.wait()
        groups.append(take())
        await asyncio.sleep(0)
        groups.append(take())
        return list(groups[-1])

    commits = GroupCommit(commit, largest=2)
    tasks = [asyncio.create_task(commits.submit(item)) for item in "ab"]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(commits.submit("c")))
    await asyncio.sleep(0)
    has_lock.set()
    assert await settled(*tasks) == ["a", "b", "c"]
    assert groups == [["a", "b"], ["a", "b"], ["c"], ["c"]]


async def test_a_commit_that_takes_nothing_fails_those_who_wait() -> None:
    """It can not have written them: because it raised before it had the lock, or by a mistake."""
    failures = [OSError("locked")]

    async def commit(_take: Take) -> list[str | Exception]:
        if failures:
            raise failures.pop()
        return []

    commits: GroupCommit[str, str] = GroupCommit(commit, largest=2)
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="locked"):
            await commits.submit("a")
        with pytest.raises(RuntimeError, match="1 items were committed, and 0 results"):
            await commits.submit("b")


async def test_who_came_later_than_a_failure_began_has_another_try() -> None:
    """The lock was not to be had for those who waited for it; who came at the last moment has not tried yet."""
    tried, is_locked = asyncio.Event(), asyncio.Event()

    async def commit(take: Take) -> list[str | Exception]:
        if not tried.is_set():
            tried.set()
            await is_locked.wait()
            raise OSError("locked")
        return list(take())

    commits: GroupCommit[str, str] = GroupCommit(commit, largest=10)
    early = [asyncio.create_task(commits.submit(item)) for item in "ab"]
    async with asyncio.timeout(5):
        await tried.wait()
    late = asyncio.create_task(commits.submit("c"))
    await asyncio.sleep(0)
    is_locked.set()
    results = await settled(*early, late)
    assert [type(result) for result in results] == [OSError, OSError, str]


async def test_ones_own_error_harms_no_other() -> None:
    """In a group with a bad item, the bad one is told and the others are written."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=10)
    tasks = await begin(commits, disk, "a", "b", "bad", "c")
    disk.free.set()
    results = await settled(*tasks)
    assert disk.groups == [["a"], ["b", "bad", "c"]]
    assert [results[0], results[1], results[3]] == ["A", "B", "C"]
    assert isinstance(results[2], ValueError)


async def test_a_commit_that_raises_fails_its_group_and_no_other() -> None:
    """The groups before and after it stand; the writer goes on."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=2)
    tasks = await begin(commits, disk, "a", "b", "c", "d")
    disk.broken_for = {"c"}
    disk.free.set()
    results = await settled(*tasks)
    assert disk.groups == [["a"], ["b", "c"], ["d"]]
    assert [type(result) for result in results] == [str, OSError, OSError, str]
    async with asyncio.timeout(5):
        assert await commits.submit("e") == "E"


async def test_a_submitter_that_leaves_does_not_stop_its_group() -> None:
    """Cancelled before or during the commit: its item is written all the same, the others get their results."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=10)
    tasks = await begin(commits, disk, "a", "b", "c")
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0)
    disk.free.set()
    results = await settled(*tasks)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], asyncio.CancelledError)
    assert results[2] == "C"
    assert disk.groups == [["a"], ["b", "c"]]


async def test_a_submitter_that_leaves_a_failing_group_is_no_trouble() -> None:
    """Its error has nobody to go to; the others get theirs."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=10)
    tasks = await begin(commits, disk, "a", "b", "c")
    disk.broken_for = {"b"}
    tasks[1].cancel()
    disk.free.set()
    assert [type(result) for result in await settled(*tasks)] == [str, asyncio.CancelledError, OSError]


async def test_stop_waits_for_what_was_submitted() -> None:
    """Also for what waits for its turn; stopping twice, or before anything came, is no error."""
    disk = Disk()
    commits = GroupCommit(disk.commit, largest=1)
    await commits.stop()
    tasks = await begin(commits, disk, "a", "b", "c")
    stopping = asyncio.create_task(commits.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    disk.free.set()
    async with asyncio.timeout(5):
        await stopping
        await commits.stop()
    assert disk.groups == [["a"], ["b"], ["c"]]
    assert await settled(*tasks) == ["A", "B", "C"]


async def test_a_commit_with_too_few_results_is_an_error() -> None:
    """Nobody waits for ever, whatever mistake is in ``commit``; and the next group is written."""
    results: list[list[str | Exception]] = [[], ["b"]]

    async def commit(take: Take) -> list[str | Exception]:
        take()
        return results.pop(0)

    commits = GroupCommit(commit, largest=10)
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="1 items were committed, and 0 results"):
            await commits.submit("a")
        assert await commits.submit("b") == "b"


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(["a", "b", "bad"]), min_size=1, max_size=20),
    pauses=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    largest=st.integers(1, 4),
    cancelled=st.sets(st.integers(0, 19)),
)
async def test_every_item_is_written_once_in_order(
    names: list[str], pauses: list[int], largest: int, cancelled: set[int]
) -> None:
    """However they come and whoever leaves: each item that was submitted is in exactly one group, in order."""
    disk = Disk()

    async def commit(take: Take) -> list[str | Exception]:
        await asyncio.sleep(0)
        return await disk.commit(take)

    commits = GroupCommit(commit, largest=largest)
    items = [f"{name}-{number}" for number, name in enumerate(names)]
    tasks = []
    for item, pause in zip(items, pauses, strict=False):
        tasks.append(asyncio.create_task(commits.submit(item)))
        for _ in range(pause):
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    for number in cancelled & set(range(len(tasks))):
        tasks[number].cancel()
    results = await settled(*tasks)
    await commits.stop()
    assert [item for group in disk.groups for item in group] == items
    assert all(len(group) <= largest for group in disk.groups)
    for number, (item, result) in enumerate(zip(items, results, strict=True)):
        expected = ValueError if item.startswith("bad") else str
        assert isinstance(result, expected) or (number in cancelled and isinstance(result, asyncio.CancelledError))
