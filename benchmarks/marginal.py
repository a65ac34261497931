"""What one more of something costs: each is the difference of two sizes, so what is there anyway does not count.

CPU is that of processes, by the scheduler's account, and never time on the clock. Windows that are compared are
equally long, and all settings are the server's own, but for limits.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np

from benchmarks.counters import Counters, Usage
from benchmarks.crowd import connected, devices, leave, rooms, window
from benchmarks.measure import settle
from benchmarks.member import AnsweringMember, Entry
from benchmarks.systems import ours

HEARTBEAT_S = 30.0
"""The default interval: a window of this length has one ping of each connection, and three renewals of its leases."""
COMING_S = 13.0
"""Within it all connections come, go, and are declared gone."""
ALONE_S = BOARD_S = 8.0

Step = Callable[[], None]
"""Told after each window."""

Found = dict[str, float]

NO_RENEWAL_S = 300.0
"""A lease so long that no renewal falls into some of the windows and not into the others."""

ADDED = np.array([[800, 80, 800], [10, 2000, 2000], [40, 200, 8000]])
"""How many connections, open conversations, and places of connections in conversations each addition adds."""
WATCHED = np.array([[1000, 100], [10, 2000]])
"""The connections and open conversations that windows see added."""
THINGS = ("connection", "feed", "place")

CAME = ((50, 2), (250, 2), (500, 1), (25, 20))
"""Conversations, and how many come into each: a few; more; the same in more conversations; the same in larger ones."""

STANDING_STEPS, COMING_STEPS, BOARD_STEPS = 3, len(CAME), 2


@dataclass(frozen=True)
class Look:
    """An idle server after some have come: the memory that those have added, and what it uses in a second."""

    memory: float
    redis_memory: float
    used: Usage | None


async def standing(step: Step) -> Found:
    """A connection, an open conversation, and a connection's place in one: what each costs while nobody speaks.

    The first to come only warm the memory up. Places take memory, and no processor time that could be seen: so the
    last addition needs no window.
    """
    open_ones: list[AnsweringMember] = []
    looks: list[Look] = []
    async with ours(1) as running:
        counters = Counters(running.pids, running.redis_url)
        try:
            await settle(counters)
            alone = await window(counters, ALONE_S) / ALONE_S
            step()
            for addition, is_watched in (
                (rooms(running, 20, 10), False),
                (rooms(running, 80, 10), True),
                (devices(running, 10, 200, shared=False), True),
                (devices(running, 40, 200, shared=True), False),
            ):
                entries = await addition
                await settle(counters)
                memory, redis_memory = counters.memory(), counters.redis_memory()
                open_ones += await connected(entries)
                await settle(counters)
                memory, redis_memory = counters.memory() - memory, counters.redis_memory() - redis_memory
                used = None
                if is_watched:
                    used = await window(counters, HEARTBEAT_S) / HEARTBEAT_S
                    step()
                looks.append(Look(memory, redis_memory, used))
        finally:
            counters.close()
            leave(open_ones)
    return shares(alone, looks[1:])


def shares(alone: Usage, looks: list[Look]) -> Found:
    """Solves what the ``ADDED`` have added for what one of each adds; named such as ``feed_memory``."""
    found: Found = {}
    for name in ("memory", "redis_memory"):
        each = np.linalg.solve(ADDED, [getattr(look, name) for look in looks])
        found |= {f"{thing}_{name}": float(one) for thing, one in zip(THINGS, each, strict=True)}
    used = [astuple(alone), *(astuple(look.used) for look in looks if look.used is not None)]
    solved = np.linalg.solve(WATCHED, np.diff(used, axis=0))
    for thing, row in zip(THINGS, solved, strict=False):
        one = Usage(*map(float, row))
        found |= {f"{thing}_us": one.server_us, f"{thing}_redis_us": one.redis_us}
        found |= {f"{thing}_redis_commands": one.redis_commands}
    return found


async def coming(step: Step) -> Found:
    """A connection that comes and goes, a conversation it opens, each member who sees it come, and another instance
    that hears of it."""
    used: list[Usage] = []
    heard: list[float] = []
    async with ours(2, PRESENCE_LEASE_S=NO_RENEWAL_S) as running:
        counters, far = Counters(running.pids[:1], running.redis_url), Counters(running.pids[1:], running.redis_url)
        try:
            for count, size in CAME:
                entries = await rooms(running, count, size)
                await settle(counters)
                before = far.server_us()
                used.append(await window(counters, COMING_S, _come_and_go(entries)))
                heard.append(far.server_us() - before)
                step()
        finally:
            counters.close()
            far.close()
    return parts_of_coming(used, heard)


def parts_of_coming(used: list[Usage], heard: list[float]) -> Found:
    """Solves the windows of ``CAME`` for a connection, an opened conversation, and somebody who sees it come."""
    # Who comes first is seen by nobody, who comes last by all others.
    counts = np.array([(count * size, count, count * size * (size - 1) / 2) for count, size in CAME])
    solved = np.linalg.solve(np.diff(counts, axis=0), np.diff([astuple(one) for one in used], axis=0))
    come, opened, seen = (Usage(*map(float, row)) for row in solved)
    return {
        "coming_us": come.server_us, "coming_redis_us": come.redis_us, "coming_redis_commands": come.redis_commands,
        "opening_us": opened.server_us, "opening_redis_us": opened.redis_us, "seen_us": seen.server_us,
        "coming_heard_us": (heard[1] - heard[0]) / (counts[1, 0] - counts[0, 0]),
    }  # fmt: skip


async def _come_and_go(entries: list[Entry]) -> None:
    leave(await connected(entries))


async def boards(step: Step) -> Found:
    """An instance with nobody on it, and each figure that it reads of others."""
    totals, memory = [], []
    for instances in (1, 4):
        async with ours(instances) as running:
            counters = Counters(running.pids, running.redis_url)
            try:
                await settle(counters)
                memory.append(counters.memory() / instances)
                totals.append(np.array(astuple(await window(counters, BOARD_S) / BOARD_S)))
            finally:
                counters.close()
        step()
    one, four = totals
    pair = (four - 4 * one) / 12  # they use n · alone + n² · pair
    alone, pair = Usage(*(one - pair)), Usage(*pair)
    return {
        "instance_us": alone.server_us, "instance_redis_us": alone.redis_us, "instance_memory": memory[0],
        "board_us": pair.server_us, "board_redis_us": pair.redis_us, "board_redis_bytes": pair.redis_bytes,
    }  # fmt: skip
