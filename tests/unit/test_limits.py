"""Limits on this instance: with the shared count, and without it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from reference_impl.adapters.limits_memory import MemoryMessageQuota, MemorySlotStore
from reference_impl.core.connection_slots import ConnectionSlots
from reference_impl.core.message_limits import PAUSE_S, MessageLimits
from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot, counted_address
from reference_impl.model.errors import ConnectionLimitExceeded, RateLimited, Unavailable
from tests.fakes import until

LIMITS = ConnectionLimits(per_user=2, per_address=3, per_instance=4)


class AwaySlotStore(MemorySlotStore):
    """Shared, until it is away."""

    away = False

    async def take(self, slot: Slot, limits: ConnectionLimits, lease_s: float) -> LimitKind | None:
        self._require_there()
        return await super().take(slot, limits, lease_s)

    async def renew(self, slots: list[Slot], lease_s: float) -> None:
        self._require_there()
        await super().renew(slots, lease_s)

    async def release(self, slot: Slot) -> None:
        self._require_there()
        await super().release(slot)

    def _require_there(self) -> None:
        if self.away:
            raise Unavailable("Redis is away")


class SlowSlotStore(MemorySlotStore):
    """Decides when it is let, and notes what was renewed meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.decides = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.renewed: list[list[str]] = []

    async def take(self, slot: Slot, limits: ConnectionLimits, lease_s: float) -> LimitKind | None:
        self.is_asked.set()
        await self.decides.wait()
        return await super().take(slot, limits, lease_s)

    async def renew(self, slots: list[Slot], lease_s: float) -> None:
        await super().renew(slots, lease_s)
        self.renewed.append([slot.connection_id for slot in slots])


class SlowQuota(MemoryMessageQuota):
    """Answers when it is let."""

    def __init__(self, max_messages: int = 3) -> None:
        super().__init__(max_messages=max_messages, window_s=60)
        self.answers = asyncio.Event()
        self.wishes: list[int] = []

    @property
    def asked(self) -> int:
        return len(self.wishes)

    async def take(self, user_id: str, wanted: int, unused: int = 0) -> int:
        self.wishes.append(wanted)
        await self.answers.wait()
        return await super().take(user_id, wanted)


def slots(store: MemorySlotStore, lease_s: float = 30) -> ConnectionSlots:
    return ConnectionSlots(store, limits=LIMITS, lease_s=lease_s)


async def test_two_instances_count_together() -> None:
    """What one has given out the other one does not give again, until it is given back."""
    store = MemorySlotStore()
    one, two = slots(store), slots(store)
    await one.take("ann", "a", "1")
    await two.take("ann", "b", "2")
    with pytest.raises(ConnectionLimitExceeded, match="2 connections a user"):
        await one.take("ann", "c", "3")
    await two.give_back("2")
    await one.take("ann", "c", "4")
    assert one.refused == {LimitKind.USER: 1}


async def test_an_instance_has_its_own_limit() -> None:
    """It is not shared: another instance has room of its own."""
    store = MemorySlotStore()
    one, two = slots(store), slots(store)
    for number in range(4):
        await one.take(f"user-{number}", f"address-{number}", str(number))
    with pytest.raises(ConnectionLimitExceeded, match="this instance"):
        await one.take("eve", "elsewhere", "5")
    await two.take("eve", "elsewhere", "6")


async def test_a_renewal_takes_nothing_that_is_not_decided_on() -> None:
    """Or the last free slot would be taken twice, by who asks for it, and refused to them."""
    store = SlowSlotStore()
    one = slots(store)
    store.decides.set()
    await one.take("ann", "a", "1")
    store.decides.clear()
    store.is_asked.clear()
    async with asyncio.TaskGroup() as coming:
        coming.create_task(one.take("ann", "a", "2"))
        await store.is_asked.wait()
        await one.start()
        one.renew_soon()
        await until(lambda: store.renewed)
        store.decides.set()
    assert store.renewed == [["1"]]
    one.renew_soon()
    await until(lambda: len(store.renewed) == 2)
    await one.stop()
    assert store.renewed[1] == ["1", "2"]


async def test_without_the_store_each_instance_counts_for_itself() -> None:
    """Nobody is locked out, nobody has no limit, and it is counted."""
    store = AwaySlotStore()
    one = slots(store)
    store.away = True
    await one.take("ann", "a", "1")
    await one.take("ann", "a", "2")
    with pytest.raises(ConnectionLimitExceeded):
        await one.take("ann", "a", "3")
    assert one.unshared == 2
    await one.give_back("1")
    await one.take("ann", "a", "4")


async def test_when_the_store_is_back_it_learns_what_was_taken_meanwhile() -> None:
    """At once, and not only with the next renewal."""
    store = AwaySlotStore()
    one, two = slots(store), slots(store)
    store.away = True
    await one.take("ann", "a", "1")
    await one.take("ann", "a", "2")
    await one.start()
    store.away = False
    one.renew_soon()
    await until(lambda: len(store._ends) == 2)
    with pytest.raises(ConnectionLimitExceeded):
        await two.take("ann", "b", "3")
    await one.stop()


async def test_a_refused_or_broken_attempt_takes_nothing() -> None:
    """However often somebody tries."""
    one = slots(MemorySlotStore())
    for number in range(10):
        await one.take("ann", "a", f"{number}")
        await one.give_back(f"{number}")
    assert one._held == {}
    assert one._per_user == {}
    assert one._per_address == {}


async def test_a_slow_shared_count_delays_a_message_a_moment_and_no_more() -> None:
    """It is then counted here, and nobody asks again for a while; the limit still holds here."""
    quota, now = SlowQuota(), [0.0]
    limits = MessageLimits(quota, max_messages=3, window_s=60, now=lambda: now[0])
    for _ in range(3):
        await limits.admit("ann")
    assert (quota.asked, limits.unshared) == (1, 3)
    with pytest.raises(RateLimited):
        await limits.admit("ann")
    now[0] += PAUSE_S
    quota.answers.set()
    await limits.admit("bob")
    assert (quota.asked, limits.unshared) == (2, 3)


async def test_who_was_refused_is_not_asked_about_again() -> None:
    """A flood over the limit costs no round trip; after ``retry_after`` it is let through."""
    now = [0.0]
    quota = MemoryMessageQuota(max_messages=1, window_s=60, now=lambda: now[0])
    one, two = (MessageLimits(quota, max_messages=1, window_s=60, now=lambda: now[0]) for _ in range(2))
    await one.admit("ann")
    now[0] = 10
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            await two.admit("ann")
        assert refused.value.retry_after == 50
    now[0] = 60
    await two.admit("ann")
    assert two.refused == 5


class CountingQuota(MemoryMessageQuota):
    """Notes what it is asked."""

    def __init__(self, max_messages: int, now: Callable[[], float]) -> None:
        super().__init__(max_messages=max_messages, window_s=6, now=now)
        self.wishes: list[int] = []
        self.taken = self.returned = 0

    async def take(self, user_id: str, wanted: int, unused: int = 0) -> int:
        self.wishes.append(wanted)
        taken = await super().take(user_id, wanted, unused)
        self.taken += taken
        return taken

    async def give_back(self, user_id: str, count: int) -> None:
        self.returned += count
        await super().give_back(user_id, count)


async def test_who_sends_often_is_counted_ahead_and_the_rest_is_given_back() -> None:
    """As many as in this part of the window or the one before, and no more than a thousandth of the limit."""
    now = [0.0]
    quota = CountingQuota(50_000, lambda: now[0])
    limits = MessageLimits(quota, max_messages=50_000, window_s=6, now=lambda: now[0])
    wishes = [[1, 2, 4, 8, 16], [30, 31, 50], [50, 50], [50]]
    for messages, expected in zip((30, 80, 60, 1), wishes, strict=True):
        quota.wishes.clear()
        for _ in range(messages):
            await limits.admit("ann")
        assert quota.wishes == expected
        now[0] += 0.11
    assert quota.returned == 1 + 31 + 40, "together with what was taken next: no round trip for that alone"
    await until(lambda: quota.taken - quota.returned == 30 + 80 + 60 + 1)
    await limits.stop()


async def test_small_limits_are_counted_to_the_message() -> None:
    """However fast somebody sends: all of the default limit can be spent, on whichever instances."""
    now = [0.0]
    quota = CountingQuota(100, lambda: now[0])
    both = [MessageLimits(quota, max_messages=100, window_s=6, now=lambda: now[0]) for _ in range(2)]
    for number in range(100):
        await both[number % 7 % 2].admit("ann")
        now[0] += 0.03
    assert quota.wishes == [1] * 100
    for limits in both:
        with pytest.raises(RateLimited):
            await limits.admit("ann")


async def test_who_waits_together_is_counted_together_and_in_order() -> None:
    """One round trip for all that came during the one before; nobody overtakes anybody."""
    quota, admitted = SlowQuota(max_messages=12), list[int]()
    limits = MessageLimits(quota, max_messages=20, window_s=60)

    async def send(number: int) -> None:
        await limits.admit("ann")
        admitted.append(number)

    sending = [asyncio.create_task(send(number)) for number in range(16)]
    await until(lambda: quota.asked == 1)
    quota.answers.set()
    results = await asyncio.gather(*sending, return_exceptions=True)
    assert admitted == list(range(12))
    assert [type(result) for result in results[12:]] == [RateLimited] * 4
    assert quota.wishes == [1, 15, 4], "the last one is refused, and with it all who wait"


async def test_who_sends_now_and_then_is_counted_one_by_one() -> None:
    """Nothing is taken ahead that another instance could miss."""
    now = [0.0]
    quota = CountingQuota(1000, lambda: now[0])
    limits = MessageLimits(quota, max_messages=1000, window_s=6, now=lambda: now[0])
    for _ in range(20):
        await limits.admit("ann")
        now[0] += 1
    assert quota.wishes == [1] * 20
    assert quota.returned == 0


async def test_counted_ahead_or_not_two_instances_never_admit_more() -> None:
    """Both at full speed: together exactly the limit, however the two get in each other's way."""
    now = [0.0]
    quota = CountingQuota(2000, lambda: now[0])
    both = [MessageLimits(quota, max_messages=2000, window_s=6, now=lambda: now[0]) for _ in range(2)]
    admitted = step = 0
    while now[0] < 5.9:
        now[0] += 0.001
        step += 1
        with suppress(RateLimited):
            await both[step % 3 % 2].admit("ann")
            admitted += 1
        if step % 50 == 0:
            await asyncio.sleep(0)
    assert 1990 <= admitted <= 2000
    assert max(quota.wishes) == 2
    for limits in both:
        await limits.stop()


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "local"),
        ("testclient", "local"),
        ("", "local"),
    ],
)
def test_who_counts_as_one(host: str | None, counted: str) -> None:
    """IPv4 by address, IPv6 by network: a customer has more addresses there than anybody can count."""
    assert counted_address(host) == counted
