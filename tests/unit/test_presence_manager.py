"""Presence when the store forgets, at the worst moments."""

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.presence import PresenceChange


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
