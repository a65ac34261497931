"""The promises of presence leases, over both twins, with a clock that is moved by hand."""

from typing import Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.ports import PresenceStore


class MovableClock(Protocol):
    now: float


async def test_first_device_was_not_online(presence_store: PresenceStore) -> None:
    """Taking a lease tells whether the user had another one."""
    assert await presence_store.renew([("ann", "phone")], 30) == [False]
    assert await presence_store.renew([("ann", "laptop")], 30) == [True]
    assert await presence_store.renew([("ann", "phone"), ("bob", "tablet")], 30) == [True, False]


async def test_one_device_leaves_and_the_other_stays(presence_store: PresenceStore) -> None:
    """A device gives back its own lease and no other."""
    await presence_store.renew([("ann", "phone"), ("ann", "laptop")], 30)
    assert await presence_store.release("ann", "phone") is True
    assert await presence_store.online(["ann"]) == {"ann"}
    assert await presence_store.release("ann", "laptop") is False
    assert await presence_store.online(["ann"]) == set()


async def test_a_lease_ends_by_itself(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """What nobody renews is gone after the lease: a crash leaves no ghost."""
    await presence_store.renew([("ann", "phone")], 30)
    hand_clock.now += 29.9
    assert await presence_store.online(["ann"]) == {"ann"}
    hand_clock.now += 0.1
    assert await presence_store.online(["ann"]) == set()
    assert await presence_store.renew([("ann", "laptop")], 30) == [False]


async def test_renewing_prolongs(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """A renewed lease counts from its renewal, and renewing is not being a second device."""
    await presence_store.renew([("ann", "phone")], 30)
    hand_clock.now += 20
    assert await presence_store.renew([("ann", "phone")], 30) == [False]
    hand_clock.now += 20
    assert await presence_store.online(["ann"]) == {"ann"}


async def test_reading_changes_nothing(presence_store: PresenceStore, hand_clock: MovableClock) -> None:
    """Asking who is online renews no lease."""
    await presence_store.renew([("ann", "phone")], 30)
    for _ in range(4):
        hand_clock.now += 10
        online = await presence_store.online(["ann", "nobody"])
    assert online == set()
    assert await presence_store.online([]) == set()


async def test_releasing_twice_is_no_error(presence_store: PresenceStore) -> None:
    """Giving back what is not held changes nothing."""
    await presence_store.renew([("ann", "phone")], 30)
    assert await presence_store.release("ann", "laptop") is True
    assert await presence_store.release("bob", "phone") is False
    assert await presence_store.online(["ann", "bob"]) == {"ann"}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["renew", "release", "pass"]), st.sampled_from(["ann", "bob"]), st.sampled_from(["a", "b"])
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_online_means_a_lease_that_has_not_ended(steps: list[tuple[str, str, str]]) -> None:
    """After any sequence of steps exactly those are online who hold a lease renewed within its time."""
    now = 0.0
    store = MemoryPresenceStore(lambda: now)
    ends: dict[tuple[str, str], float] = {}
    for what, user, device in steps:
        if what == "renew":
            await store.renew([(user, device)], 3)
            ends[user, device] = now + 3
        elif what == "release":
            await store.release(user, device)
            ends.pop((user, device), None)
        else:
            now += 1
        alive = {name for (name, _), end in ends.items() if end > now}
        assert await store.online(["ann", "bob"]) == alive
