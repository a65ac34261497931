"""The promises of presence leases, over both twins, with a clock that is moved by hand."""

import asyncio
from typing import Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.ports import PresenceStore
from reference_impl.model.presence import EndedLease, Lease, TakenLease

PHONE, LAPTOP, TABLET = Lease("ann", "c-phone", "phone"), Lease("ann", "c-laptop"), Lease("bob", "c-tablet")


class MovableClock(Protocol):
    now: float


async def test_a_new_lease_is_told_of_the_others(presence_store: PresenceStore) -> None:
    """Taking a lease tells which others the user has; renewing one tells nothing."""
    assert await presence_store.renew([PHONE], 30) == [TakenLease(PHONE, [])]
    assert await presence_store.renew([LAPTOP], 30) == [TakenLease(LAPTOP, [PHONE])]
    assert await presence_store.renew([PHONE, TABLET], 30) == [TakenLease(TABLET, [])]


async def test_many_are_renewed_at_once(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """Hundreds, old and new ones of the same users mixed: each new one is told of the others that came before it."""
    phones, laptops = [[Lease(f"user-{n}", f"{kind}-{n}") for n in range(250)] for kind in ("phone", "laptop")]
    assert await presence_store.renew([PHONE, LAPTOP], 30) == [TakenLease(PHONE, []), TakenLease(LAPTOP, [PHONE])]
    assert await presence_store.renew(phones, 30) == [TakenLease(phone, []) for phone in phones]
    hand_clock.now += 20
    taken = await presence_store.renew([lease for pair in zip(phones, laptops, strict=True) for lease in pair], 30)
    assert taken == [TakenLease(laptop, [phone]) for phone, laptop in zip(phones, laptops, strict=True)]
    hand_clock.now += 20
    assert {one.lease for one in [*await presence_store.expire(), *await presence_store.expire()]} == {PHONE, LAPTOP}
    assert set((await presence_store.leases(["user-249"]))["user-249"]) == {laptops[249], phones[249]}


async def test_one_device_leaves_and_the_other_stays(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """A device ends its own lease and no other, after the time it lingers."""
    await presence_store.renew([PHONE, LAPTOP], 30)
    await presence_store.release(PHONE, 5)
    hand_clock.now += 4.9
    assert await presence_store.expire() == []
    hand_clock.now += 0.1
    assert await presence_store.expire() == [EndedLease(PHONE, [LAPTOP])]
    assert await presence_store.online(["ann"]) == {"ann"}
    await presence_store.release(LAPTOP, 0)
    assert await presence_store.online(["ann"]) == set()
    assert await presence_store.expire() == [EndedLease(LAPTOP, [])]


async def test_who_comes_back_while_lingering_never_left(
    presence_store: PresenceStore, hand_clock: MovableClock
) -> None:
    """The lease of the connection before is still there when the next one is taken."""
    await presence_store.renew([PHONE], 30)
    await presence_store.release(PHONE, 5)
    hand_clock.now += 1
    again = Lease("ann", "c-phone-2", "phone")
    assert await presence_store.renew([again], 30) == [TakenLease(again, [PHONE])]
    hand_clock.now += 5
    assert await presence_store.expire() == [EndedLease(PHONE, [again])]


async def test_a_goodbye_ends_what_the_device_lost_before(
    presence_store: PresenceStore, hand_clock: MovableClock
) -> None:
    """Lost, back, and then gone for good: the lost connection does not keep its user online. Another device does."""
    again = Lease("ann", "c-phone-2", "phone")
    await presence_store.renew([PHONE, LAPTOP], 30)
    await presence_store.release(PHONE, 5, is_lost=True)
    await presence_store.renew([again], 30)
    await presence_store.release(LAPTOP, 5, is_lost=True)
    await presence_store.release(again, 0)
    assert {one.lease for one in await presence_store.expire()} == {PHONE, again}
    assert await presence_store.online(["ann"]) == {"ann"}, "the laptop may be on its way back"
    hand_clock.now += 5
    assert await presence_store.expire() == [EndedLease(LAPTOP, [])]


async def test_a_lease_ends_by_itself(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """What nobody renews is gone after the lease: a crash leaves no ghost."""
    await presence_store.renew([PHONE], 30)
    hand_clock.now += 29.9
    assert await presence_store.online(["ann"]) == {"ann"}
    assert await presence_store.expire() == []
    hand_clock.now += 0.1
    assert await presence_store.online(["ann"]) == set()
    assert await presence_store.renew([LAPTOP], 30) == [TakenLease(LAPTOP, [])]
    assert await presence_store.expire() == [EndedLease(PHONE, [LAPTOP])]


async def test_an_end_is_told_once(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """Of many instances that look at the same time, one hears of each lease that ended."""
    leases = [Lease(f"user-{n}", f"c-{n}") for n in range(20)]
    await presence_store.renew(leases, 3)
    hand_clock.now += 3
    told: list[EndedLease] = []
    for _ in range(5):  # a look that another one overtakes finds nothing, and is repeated
        for ended in await asyncio.gather(*(presence_store.expire() for _ in range(4))):
            told += ended
    assert sorted(one.lease.user_id for one in told) == sorted(lease.user_id for lease in leases)


async def test_renewing_prolongs(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """A renewed lease counts from its renewal."""
    await presence_store.renew([PHONE], 30)
    hand_clock.now += 20
    assert await presence_store.renew([PHONE], 30) == []
    hand_clock.now += 20
    assert await presence_store.online(["ann"]) == {"ann"}
    assert await presence_store.holds(PHONE)


async def test_reading_changes_nothing(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """Asking who is online renews no lease."""
    await presence_store.renew([PHONE], 30)
    for _ in range(4):
        hand_clock.now += 10
        online = await presence_store.online(["ann", "nobody"])
    assert online == set()
    assert await presence_store.online([]) == set()


async def test_releasing_what_is_not_held_is_no_error(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """Giving back what is not held changes nothing, and brings nothing back."""
    await presence_store.renew([PHONE], 30)
    await presence_store.release(TABLET, 5)
    assert await presence_store.online(["ann", "bob"]) == {"ann"}
    assert not await presence_store.holds(TABLET)
    hand_clock.now += 30
    assert await presence_store.expire() == [EndedLease(PHONE, [])]
    await presence_store.release(PHONE, 5)
    assert not await presence_store.holds(PHONE)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["renew", "release", "linger", "expire", "pass"]),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_online_means_a_lease_that_has_not_ended(steps: list[tuple[str, str, str]]) -> None:
    """After any sequence of steps exactly those are online who hold a lease, and each end is told once."""
    now = 0.0
    store = MemoryPresenceStore(lambda: now)
    ends: dict[Lease, float] = {}
    untold: set[Lease] = set()
    for what, user, device in steps:
        lease = Lease(user, device)
        if what == "renew":
            taken = await store.renew([lease], 3)
            assert [one.lease for one in taken] == ([] if lease in ends else [lease])
            ends[lease] = now + 3
        elif what in ("release", "linger") and lease in ends:
            linger = 0 if what == "release" else 1
            await store.release(lease, linger)
            ends[lease] = min(ends[lease], now + linger)
        elif what == "expire":
            untold = {one for one, end in ends.items() if end <= now}
            assert {one.lease for one in await store.expire()} == untold
            ends = {one: end for one, end in ends.items() if one not in untold}
        elif what == "pass":
            now += 1
        alive = {one.user_id for one, end in ends.items() if end > now}
        assert await store.online(["ann", "bob"]) == alive
