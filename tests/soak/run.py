"""A day of coming and going, scaled down: equal cycles, and what is left behind by them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.soak.crowd import CONVERSATIONS, PEOPLE_A_CYCLE, one_cycle
from tests.soak.inventory import Inventory
from tests.soak.target import SoakTarget

PAUSE_S = 0.1
INSTANCES = (0, 1)

FEW = 12
"""Entries of a table, or objects of a class, that may be there though nobody is: one for each kind of event, or made
when first needed. What leaks one for each socket, or each user, is soon more.
"""

MANY = {
    # to be quick; too much of it is forgotten
    "table AccessService._let_in": 10_000,
    "table AIQuestions._is_member": 10_000,
    "table MessageLimits._allowances": 1000,
    "object reference_impl.core.message_limits._Allowance": 1000,
    # who spoke last: forgotten when somebody else speaks
    "table SlidingWindowLimiter._sent": PEOPLE_A_CYCLE,
    # of the conversations of this cycle and the one before: forgotten at the next look, a few seconds later
    "table Attendance._rosters": 2 * CONVERSATIONS,
    "table _Roster.absent": 3 * PEOPLE_A_CYCLE,
    # the last ten seconds of two windows, once a second
    "table SlidingWindow._samples": 40,
}
"""More than a few, but bounded: how much it is at most."""

EXACT = (
    "ActivityService", "Attendance", "ConnectionIndex", "ConnectionSlots", "ConversationFeeds", "DeliveryConfirmations",
    "DistributedConnectionManager", "Memberships", "PresenceAnnouncer", "PresenceManager", "RedisListener",
    "SocketBounds", "WaitingRoom",
)  # fmt: skip
"""Parts whose tables are about who is there: when nobody is, they are as they were."""

POOLED = ("threads", "files")
"""What is kept for whoever needs it next. Only its growth says something."""

ENDLESS_KEYS = ("ws:board", "{queue:ai}:jobs", "{queue:push}:jobs")
"""One of each in Redis, however many people there are."""

PUSHED_KEYS = "{queue:push}:id"
"""One for each push, for a day: who asks again gets no second one."""


@dataclass(frozen=True)
class Plan:
    """How much of it, and what is too much."""

    visits: int
    cycles: int
    warm_up: int
    """Cycles until caches and pools are full."""
    bounds: dict[str, float]
    """By how much these may grow for each socket that has come and gone."""
    settle_s: float = 15.0
    """How long what is kept for a while may take to be gone."""


@dataclass(frozen=True)
class Soak:
    """A run and what it has found."""

    complaints: list[str]
    growth: dict[str, float]
    """For each socket, by name: of the instance that has grown more."""
    sockets: int
    """That have come to each instance in a cycle."""


async def run_soak(plan: Plan, **options: Any) -> Soak:
    """Lets people come and go, and counts before, between and after. ``options`` are the target's."""
    async with SoakTarget(**options) as target:
        start = await _counts(target)
        channels = await target.redis_channels()
        history = []
        for cycle in range(plan.cycles):
            sockets = await one_cycle(target, cycle, plan.visits) // len(INSTANCES)
            history.append(await _settled(target, start, plan.settle_s))
        complaints = _all_left_behind(start, history[-1]) + await _left_in_redis(target, channels, plan.settle_s)
    growth: dict[str, float] = {}
    for number in INSTANCES:
        for name, bound in plan.bounds.items():
            sizes = [cycle[number].sizes[name] for cycle in history[plan.warm_up - 1 :]]
            of_each = slope_of(sizes) / sockets
            growth[name] = max(growth.get(name, of_each), of_each)
            if of_each > bound:
                complaints.append(f"instance {number}: {of_each:.2f} {name} more for each socket: {sizes}")
    return Soak(complaints, growth, sockets)


def left_behind(start: Inventory, now: Inventory) -> Iterator[str]:
    """What an instance holds now, and did not hold before anybody came."""
    for name, count in now.counts.items():
        allowed = MANY.get(name, start.counts[name] + (FEW if _may_be_few(name) else 0))
        if count > allowed and name not in POOLED:
            yield f"{name}: {count}, at most {allowed} may be left"


def slope_of(sizes: list[int]) -> float:
    """By how much a size grows from one to the next: the median over all pairs, so that no single one decides."""
    return median(
        (later - earlier) / (place - before)
        for place, later in enumerate(sizes)
        for before, earlier in enumerate(sizes[:place])
    )


def _may_be_few(name: str) -> bool:
    kind, _, what = name.partition(" ")
    return kind == "object" or (kind == "table" and what.rpartition(".")[0] not in EXACT)


def _all_left_behind(start: list[Inventory], now: list[Inventory]) -> list[str]:
    pairs = enumerate(zip(start, now, strict=True))
    return [f"instance {number}: {one}" for number, (before, after) in pairs for one in left_behind(before, after)]


async def _counts(target: SoakTarget) -> list[Inventory]:
    return await asyncio.gather(*map(target.counts, INSTANCES))


async def _settled(target: SoakTarget, start: list[Inventory], deadline_s: float) -> list[Inventory]:
    """The inventories once nothing is left behind; or, when that takes too long, as they are."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    while True:
        now = await _counts(target)
        if not _all_left_behind(start, now) or loop.time() > deadline:
            return now
        await asyncio.sleep(PAUSE_S)


async def _left_in_redis(target: SoakTarget, before: list[str], deadline_s: float) -> list[str]:
    """Keys that stay, and channels that somebody still listens to though nobody is there."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    while True:
        keys = await target.redis_keys()
        channels = [name for name in await target.redis_channels() if name not in before]
        left = [name for name in keys if not name.startswith((*ENDLESS_KEYS, PUSHED_KEYS))]
        endless = [name for name, ends_in in keys.items() if ends_in is None and name not in ENDLESS_KEYS]
        if not (left or endless or channels) or loop.time() > deadline:
            break
        await asyncio.sleep(PAUSE_S)
    return [f"Redis: {len(names)} {what}, such as {names[0]}" for what, names in (
        ("keys are left", left), ("keys never end", endless), ("channels are left", channels),
    ) if names]  # fmt: skip
