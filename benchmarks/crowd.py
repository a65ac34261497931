"""People who are connected and say nothing, and what a server uses meanwhile."""

import asyncio
import itertools
import time
from collections.abc import Awaitable

from benchmarks.counters import Counters, Usage
from benchmarks.member import AnsweringMember, Entry
from benchmarks.systems import OursRunning
from course.errors import UserError

AT_ONCE = 32
CONNECT_DEADLINE_S = 60.0

_names = itertools.count()


async def window(counters: Counters, seconds: float, work: Awaitable[object] | None = None) -> Usage:
    """What is used in exactly that time, in which ``work`` is done. Raises ``UserError`` when it takes longer."""
    before, ends = counters.read(0), time.perf_counter() + seconds
    if work is not None:
        await work
    if (left := ends - time.perf_counter()) < 0:
        raise UserError(f"this machine is too busy: {seconds:g} s were not enough for one step", 1)
    await asyncio.sleep(left)
    return counters.read(1) - before


async def rooms(running: OursRunning, count: int, size: int) -> list[Entry]:
    """Conversations of ``size`` users; each has a socket on it, all on the first instance."""
    groups = [_users(size) for _ in range(count)]
    names = await _conversations(running, groups)
    return [running.entry(user, name, 0) for name, users in zip(names, groups, strict=True) for user in users]


async def devices(running: OursRunning, count: int, conversations: int, *, shared: bool) -> list[Entry]:
    """Users with one socket for all their conversations: the same ones, or each their own."""
    users = _users(count)
    groups = [users] * conversations if shared else [[user] for user in users for _ in range(conversations)]
    await _conversations(running, groups)
    return [running.entry(user, None, 0) for user in users]


async def connected(entries: list[Entry]) -> list[AnsweringMember]:
    """All of them, once all are in. Raises ``UserError``."""
    gate = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()
    members = [AnsweringMember(entry, lambda _before, _now: None) for entry in entries]

    async def connect(member: AnsweringMember, port: int) -> None:
        async with gate:
            await loop.create_connection(lambda: member, "127.0.0.1", port)
            await member.joined

    try:
        async with asyncio.timeout(CONNECT_DEADLINE_S), asyncio.TaskGroup() as connecting:
            for member, entry in zip(members, entries, strict=True):
                connecting.create_task(connect(member, entry.port))
    except TimeoutError:
        raise UserError(f"not all members were connected in {CONNECT_DEADLINE_S:.0f} s", 1) from None
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return members


def leave(members: list[AnsweringMember]) -> None:
    """All at once, without a goodbye."""
    for member in members:
        member.close()


async def _conversations(running: OursRunning, groups: list[list[str]]) -> list[str]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(users: list[str]) -> str:
        async with gate:
            return await running.conversation(users)

    return await asyncio.gather(*(make(users) for users in groups))


def _users(count: int) -> list[str]:
    return [f"crowd-{next(_names)}" for _ in range(count)]
