"""Who is known to hear a conversation, between two looks."""

import asyncio

import pytest

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.attendance import Attendance
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.errors import Unavailable
from reference_impl.model.presence import Lease, PresenceChange
from reference_impl.model.push_decision import NOBODY_HEARS

GONE = PresenceChange("user_offline", "bob")
MEMBERS = {"c": ["ann", "bob"]}


class Leases(MemoryPresenceStore):
    """Says when it is asked, and answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.is_away = False

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        found = await super().leases(user_ids)
        self.asked.set()
        await self.may_answer.wait()
        if self.is_away:
            raise Unavailable("away")
        return found


@pytest.fixture
async def leases() -> Leases:
    store = Leases()
    await store.renew([Lease("ann", "k-1", since=1.0), Lease("bob", "k-2", conversation_id="c", since=2.0)], 60)
    return store


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def attendance(leases: Leases, told: list[str]) -> Attendance:
    made = Attendance(PresenceManager(leases, announce=lambda _: None))
    made.on_change(told.append)
    return made


async def test_a_look_says_who_hears_and_remembers_who_does_not(attendance: Attendance) -> None:
    """Of a conversation that nobody has looked at, nothing is known."""
    assert attendance.absent("c") is None
    assert not attendance.is_attended("c")
    assert await attendance.look({"c": ["ann", "bob", "cleo"], "d": ["bob"]}) == {
        "c": {"ann": 1.0, "bob": 2.0, "cleo": NOBODY_HEARS},
        "d": {"bob": NOBODY_HEARS},
    }
    assert (attendance.absent("c"), attendance.absent("d")) == ({"cleo"}, {"bob"})
    await attendance.look(MEMBERS)
    assert attendance.is_attended("c")
    attendance.forget("c")
    assert attendance.absent("c") is None


async def test_who_leaves_is_absent_until_somebody_finds_them(
    attendance: Attendance, leases: Leases, told: list[str]
) -> None:
    """Where nobody has looked, nobody is told. Who has come is found by the next look for the absent."""
    await attendance.look(MEMBERS)
    attendance.note_presence([(GONE, ["c", "elsewhere"]), (PresenceChange("device_connected", "ann"), ["c"])])
    assert (attendance.absent("c"), told) == ({"bob"}, ["c"])
    assert await attendance.look_for({"c": ["bob"]}) == {"c": {"bob": 2.0}}
    assert attendance.is_attended("c")
    await leases.release(Lease("bob", "k-2", conversation_id="c", since=2.0), 0)
    attendance.note_presence([(PresenceChange("device_disconnected", "bob"), ["c"])])
    await attendance.look_for({"c": ["bob"]})
    assert attendance.absent("c") == {"bob"}


@pytest.mark.parametrize("look", [lambda one: one.look(MEMBERS), lambda one: one.look_for({"c": ["bob"]})])
async def test_who_leaves_while_a_look_is_under_way_is_absent(
    attendance: Attendance, leases: Leases, look: object
) -> None:
    """The look has read his lease; then it ended, and we were told, before the answer came."""
    await attendance.look(MEMBERS)
    leases.asked.clear()
    leases.may_answer.clear()
    looking = asyncio.create_task(look(attendance))  # type: ignore[operator]
    await asyncio.wait_for(leases.asked.wait(), 5)
    attendance.note_presence([(GONE, ["c"])])
    leases.may_answer.set()
    await asyncio.wait_for(looking, 5)
    assert attendance.absent("c") == {"bob"}


async def test_after_a_change_of_members_or_a_gap_nothing_is_known(attendance: Attendance, told: list[str]) -> None:
    """A new member may have no socket; what passed us by may have been that somebody left."""
    await attendance.look(MEMBERS)
    attendance.note_members_changed(None)
    assert attendance.is_attended("c")
    attendance.note_members_changed("c")
    assert attendance.absent("c") is None
    await attendance.look(MEMBERS)
    attendance.note_gap()
    assert attendance.absent("c") is None
    assert told == ["c", "c"]


async def test_a_look_that_failed_or_that_a_change_overtook_makes_nothing_known(
    attendance: Attendance, leases: Leases
) -> None:
    """Whoever was believed to be there before may be gone by now."""
    await attendance.look(MEMBERS)
    leases.is_away = True
    with pytest.raises(Unavailable):
        await attendance.look(MEMBERS)
    assert attendance.absent("c") is None
    leases.is_away = False
    leases.asked.clear()
    leases.may_answer.clear()
    looking = asyncio.create_task(attendance.look(MEMBERS))
    await asyncio.wait_for(leases.asked.wait(), 5)
    attendance.note_members_changed("c")
    leases.may_answer.set()
    await asyncio.wait_for(looking, 5)
    assert attendance.absent("c") is None
