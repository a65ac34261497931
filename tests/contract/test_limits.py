"""The promises of limits over all instances, over both twins of each port."""

import asyncio
from contextlib import suppress

import pytest

from reference_impl.core.limit_ports import MessageQuota, SlotStore
from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot
from reference_impl.model.errors import RateLimited
from tests.contract.conftest import HandClock

LIMITS = ConnectionLimits(per_user=3, per_address=5)
LEASE_S = 30.0


def slot(number: int, user: str = "ann", address: str = "10.0.0.1") -> Slot:
    return Slot(user, address, f"connection-{number}")


async def take(store: SlotStore, wanted: Slot) -> LimitKind | None:
    return await store.take(wanted, LIMITS, LEASE_S)


async def test_of_many_who_come_at_once_the_limit_gets_in(slot_store: SlotStore) -> None:
    """Counting and taking are one step: never one too many, and never one too few."""
    refused = await asyncio.gather(*(take(slot_store, slot(number)) for number in range(30)))
    assert refused.count(None) == 3
    assert refused.count(LimitKind.USER) == 27


async def test_an_address_has_a_limit_of_its_own(slot_store: SlotStore) -> None:
    """Whoever comes from there. Who is refused under one limit has taken nothing under the other."""
    for number in range(5):
        assert await take(slot_store, slot(number, user=f"user-{number}")) is None
    assert await take(slot_store, slot(5, user="ann")) is LimitKind.ADDRESS
    for number in range(6, 9):
        assert await take(slot_store, slot(number, user="ann", address="10.0.0.2")) is None
    assert await take(slot_store, slot(9, user="ann", address="10.0.0.2")) is LimitKind.USER
    assert await take(slot_store, slot(10, user="eve", address="10.0.0.2")) is None


async def test_what_is_given_back_is_free_at_once(slot_store: SlotStore) -> None:
    """And giving back what nobody has is no error."""
    for number in range(3):
        await take(slot_store, slot(number))
    await slot_store.release(slot(1))
    await slot_store.release(slot(1))
    assert await take(slot_store, slot(3)) is None
    assert await take(slot_store, slot(4)) is LimitKind.USER


async def test_what_nobody_renews_is_free_after_its_lease(slot_store: SlotStore, hand_clock: HandClock) -> None:
    """A crashed instance locks nobody out; what is renewed stays, and what the store has lost is there again."""
    for number in range(3):
        await take(slot_store, slot(number))
    hand_clock.now += LEASE_S - 1
    assert await take(slot_store, slot(3)) is LimitKind.USER
    await slot_store.renew([slot(0), slot(7)], LEASE_S)
    hand_clock.now += 2
    assert await take(slot_store, slot(4)) is None
    assert await take(slot_store, slot(5)) is LimitKind.USER


async def test_many_are_renewed_at_once(slot_store: SlotStore, hand_clock: HandClock) -> None:
    """Hundreds, of many users and few addresses; every one of them counts as long as it is renewed."""
    many = ConnectionLimits(per_user=2, per_address=250)
    slots = [slot(n, user=f"user-{n // 2}", address=f"10.0.0.{n // 250}") for n in range(500)]
    for one in slots:
        assert await slot_store.take(one, many, LEASE_S) is None
    hand_clock.now += LEASE_S - 1
    await slot_store.renew(slots, LEASE_S)
    hand_clock.now += LEASE_S - 1
    for n in (0, 249):
        assert await slot_store.take(slot(1000, user=f"user-{n}", address="10.0.0.9"), many, LEASE_S) is LimitKind.USER
        assert await slot_store.take(slot(1000, address=f"10.0.0.{n // 125}"), many, LEASE_S) is LimitKind.ADDRESS
    hand_clock.now += 1
    for one in slots[::100]:
        assert await slot_store.take(one, many, LEASE_S) is None


async def test_a_quota_is_exact_however_many_come_at_once(quota: MessageQuota) -> None:
    """Ten a minute: of forty at once, ten; each user for themselves."""

    async def try_to_send(user: str) -> bool:
        try:
            await quota.take(user, 1)
        except RateLimited:
            return False
        return True

    sent = await asyncio.gather(*(try_to_send(user) for _ in range(40) for user in ("ann", "bob")))
    assert sum(sent[0::2]) == 10
    assert sum(sent[1::2]) == 10


async def test_no_window_has_more_and_retry_after_is_true(quota: MessageQuota, hand_clock: HandClock) -> None:
    """A window that slides: at its edge nobody gets twice the limit. After ``retry_after`` the next is let through."""
    admitted: list[float] = []
    for _ in range(400):
        hand_clock.now += 0.7
        with suppress(RateLimited):
            await quota.take("ann", 1)
            admitted.append(hand_clock.now)
            continue
        with pytest.raises(RateLimited) as refused:
            await quota.take("ann", 1)
        hand_clock.now += refused.value.retry_after
        await quota.take("ann", 1)
        admitted.append(hand_clock.now)
    windows = [sum(start <= moment < start + 60 for moment in admitted) for start in admitted]
    assert max(windows) == 10


async def test_what_is_given_back_may_be_sent(quota: MessageQuota) -> None:
    """Exactly as many as were given back, and never more than there were."""
    for _ in range(10):
        await quota.take("ann", 1)
    await quota.give_back("ann", 1)
    await quota.take("ann", 1)
    with pytest.raises(RateLimited):
        await quota.take("ann", 1)
    for _ in range(3):
        await quota.give_back("bob", 1)
    for _ in range(10):
        await quota.take("bob", 1)
    with pytest.raises(RateLimited):
        await quota.take("bob", 1)


async def test_as_many_as_are_left_are_taken_at_once(quota: MessageQuota) -> None:
    """What is wanted, or less, or none; never nothing without saying so. Several may be given back at once."""
    assert await quota.take("ann", 4) == 4
    assert await quota.take("ann", 9) == 6
    with pytest.raises(RateLimited):
        await quota.take("ann", 1)
    await quota.give_back("ann", 3)
    assert await quota.take("ann", 5) == 3
    taken = await asyncio.gather(*(quota.take("bob", 3) for _ in range(3)))
    assert sum(taken) == 9
    await quota.give_back("bob", 99)
    assert await quota.take("bob", 99) == 10


async def test_giving_back_and_taking_in_one(quota: MessageQuota, hand_clock: HandClock) -> None:
    """What was not used is given back first, so that it can be taken; also when then nothing is left to be had."""
    assert await quota.take("ann", 8) == 8
    hand_clock.now += 20
    assert await quota.take("ann", 9, unused=5) == 7
    with pytest.raises(RateLimited) as refused:
        await quota.take("ann", 1)
    assert refused.value.retry_after == pytest.approx(40, abs=1.1), "three of the first ones still count"
    assert await quota.take("ann", 1, unused=2) == 1
    assert await quota.take("bob", 3, unused=7) == 3
