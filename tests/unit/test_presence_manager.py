"""Presence when the store forgets, at the worst moments; and when ends are looked for. Time is virtual there."""

import asyncio

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.presence_manager import AGAIN_S, LINGER_S, LOOK_S, PresenceManager
from reference_impl.model.presence import EndedLease, Lease, PresenceChange
from tests.property.virtual_time import VirtualTime


class Forgetful(MemoryPresenceStore):
    """A store that loses all its data on demand."""

    def forget(self) -> None:
        self._ends.clear()


def make(heard: list[PresenceChange]) -> tuple[PresenceManager, Forgetful]:
    store = Forgetful()
    return PresenceManager(store, announce=heard.append), store


async def test_who_left_right_before_redis_forgets_is_told_all_the_same() -> None:
    """A device is lost, its lease lingers, and Redis loses it: nobody would ever hear that its user is gone."""
    heard: list[PresenceChange] = []
    manager, store = make(heard)
    for connection_id, user_id in (("c-1", "ann"), ("c-2", "bob")):
        await manager.add_user_to_online(user_id, connection_id, device_id=connection_id)
    await manager.remove_user_from_online("ann", "c-1", lost=True)
    heard.clear()
    await manager.look()
    assert heard == [], "she may come back"
    store.forget()
    await manager.look()
    assert {(change.action, change.user_id) for change in heard} == {
        *(("device_disconnected", "ann"), ("user_offline", "ann")),
        *(("device_connected", "bob"), ("user_online", "bob")),
    }
    heard.clear()
    await manager.look()
    assert heard == []


async def test_the_last_one_who_left_is_told_too() -> None:
    """The instance holds no other lease by which it could notice the loss."""
    heard: list[PresenceChange] = []
    manager, store = make(heard)
    await manager.add_user_to_online("ann", "c-1", device_id="phone")
    await manager.remove_user_from_online("ann", "c-1", lost=True)
    heard.clear()
    store.forget()
    await manager.look()
    assert [change.action for change in heard] == ["device_disconnected", "user_offline"]


async def test_a_device_that_is_elsewhere_is_not_told_gone() -> None:
    """It came back over another connection before Redis forgot."""
    heard: list[PresenceChange] = []
    manager, store = make(heard)
    await manager.add_user_to_online("ann", "c-1", device_id="phone")
    await manager.remove_user_from_online("ann", "c-1", lost=True)
    await manager.add_user_to_online("ann", "c-2", device_id="phone")
    heard.clear()
    store.forget()
    await manager.look()
    assert "user_offline" not in [change.action for change in heard]


class Paged(MemoryPresenceStore):
    """Tells of ten ends at a time, as Redis does of two hundred; counts the looks."""

    def __init__(self) -> None:
        super().__init__(lambda: asyncio.get_running_loop().time())
        self.untold: list[EndedLease] = []
        self.looks = 0

    async def expire(self) -> list[EndedLease]:
        self.looks += 1
        self.untold += await super().expire()
        told, self.untold = self.untold[:10], self.untold[10:]
        return told


async def _start() -> tuple[PresenceManager, Paged, list[PresenceChange]]:
    heard: list[PresenceChange] = []
    store = Paged()
    manager = PresenceManager(store, announce=heard.append)
    await manager.start()
    return manager, store, heard


def test_a_goodbye_is_told_when_its_lease_ends() -> None:
    """Not at the next look that would have been anyway."""

    async def leave() -> None:
        manager, _, heard = await _start()
        await manager.add_user_to_online("ann", "c-1")
        for wait_s in (0.2, 0.9, 1.4):
            await asyncio.sleep(wait_s)
            await manager.add_user_to_online("bob", "c-2")
            await manager.remove_user_from_online("bob", "c-2")
            await asyncio.sleep(LINGER_S + AGAIN_S + 0.01)
            assert heard[-1] == PresenceChange("user_offline", "bob", None, "web")
        await manager.stop()

    with VirtualTime() as time:
        time.run(leave())


def test_many_ends_are_told_page_after_page() -> None:
    """An instance with a hundred connections has died: the next look is not far when there may be more."""

    async def die() -> None:
        manager, store, heard = await _start()
        await store.renew([Lease(f"user-{number}", f"c-{number}") for number in range(100)], 1.0)
        await asyncio.sleep(2 * LOOK_S + 12 * AGAIN_S)
        assert sum(change.action == "user_offline" for change in heard) == 100
        await manager.stop()

    with VirtualTime() as time:
        time.run(die())


def test_where_nobody_leaves_looks_are_rare() -> None:
    """A minute of them."""

    async def stay() -> None:
        manager, store, _ = await _start()
        await manager.add_user_to_online("ann", "c-1")
        await asyncio.sleep(60)
        assert store.looks <= 60 / LOOK_S
        await manager.stop()

    with VirtualTime() as time:
        time.run(stay())
