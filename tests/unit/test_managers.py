"""The managers together: two instances in one process, over one bus, one store of leases and one store of messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from reference_impl.adapters.broker_memory import MemoryBroker, MemoryBus
from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import compose, create_app
from reference_impl.chat_system import ChatSystem
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.bus_messages import MembershipChanged
from reference_impl.model.conversations import Conversation
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.server_frames import SystemNotificationData
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.settings import Settings
from tests.fakes import NOON, FakeTransport, until

SECRET = "shared by both instances, 32 letters"
NOTICE = encode_frame(
    SystemNotificationData(level="info", code="hello", text="hello"), conversation_id=None, timestamp=NOON
)


def welcome(connection_id: str, conversation_id: str | None, heads: dict[str, int]) -> EncodedFrame:
    return NOTICE


@pytest.fixture
async def instances() -> AsyncIterator[list[ChatSystem]]:
    """Two of them, started."""
    bus, presence_store, store = MemoryBus(), MemoryPresenceStore(), MemoryStore()
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            shared: dict[str, Any] = {"broker": MemoryBroker(bus), "presence_store": presence_store, "store": store}
            chat = compose(Settings(secret_key=SECRET), shared)
            await chat.start()
            stack.push_async_callback(chat.stop)
            made.append(chat)
        yield made


async def connect(chat: ChatSystem, user_id: str, device_type: str = "web") -> FakeTransport:
    """A device on all conversations of a user, of whom there are none."""
    transport = FakeTransport()
    await chat.connections.connect(
        user_id, transport, [], welcome, {"device_type": device_type}, is_device_wide=True, address=user_id
    )
    await until(lambda: len(transport.sent) == 1)
    return transport


async def test_a_frame_finds_a_user_on_another_instance(instances: list[ChatSystem]) -> None:
    """On all their devices, wherever they are, the sending instance's own included."""
    here, there = instances
    devices = [await connect(here, "ann"), await connect(there, "ann"), await connect(there, "bob")]
    await here.connections.send_to_user("ann", NOTICE)
    await until(lambda: [len(one.sent) for one in devices] == [2, 2, 1])


async def test_a_device_type_is_met(instances: list[ChatSystem]) -> None:
    """Devices of other types, and other users' of the same type, get nothing."""
    here, there = instances
    devices = [await connect(there, "ann", "mobile"), await connect(here, "ann"), await connect(there, "bob", "mobile")]
    await here.connections.send_to_device_type("ann", "mobile", NOTICE)
    await until(lambda: [len(one.sent) for one in devices] == [2, 1, 1])


async def test_everybody_can_be_told(instances: list[ChatSystem]) -> None:
    """On both instances, or on one alone."""
    here, there = instances
    devices = [await connect(here, "ann"), await connect(there, "bob")]
    await here.connections.send_to_everybody(NOTICE)
    await until(lambda: [len(one.sent) for one in devices] == [2, 2])
    there.connections.send_to_all_here(NOTICE)
    await until(lambda: [len(one.sent) for one in devices] == [2, 3])


async def test_online_is_a_question_to_all_instances(instances: list[ChatSystem]) -> None:
    """Asked of one, about a device on the other."""
    here, there = instances
    await connect(there, "ann")
    assert await here.connections.is_user_online("ann")
    assert not await here.connections.is_user_online("bob")


@pytest.mark.parametrize("leaves_in_turn", range(10))
async def test_nothing_is_kept_open_for_who_has_gone(instances: list[ChatSystem], leaves_in_turn: int) -> None:
    """A device goes while it is taken into new conversations: at whatever moment, nothing of it is left in them."""
    here, connections = instances[0], instances[0].connections
    await connect(here, "bob")
    await connect(here, "ann")
    for number in range(3):
        people = ["bob", "ann"]
        await here.store.create_conversation(
            Conversation(id=str(number), title="", creator_id="bob", participant_ids=people, created_at=NOON)
        )
    for user in people:
        connections.handle_broadcast(MembershipChanged(instance_id="there", user_ids=[user]))
    for turn in range(20):  # in memory, all is done by then
        if turn == leaves_in_turn:
            await connections.disconnect(*connections.connection_manager.connections_by_user["ann"])
        await asyncio.sleep(0)
    assert len(connections.conversation_feeds) == 3
    await connections.disconnect(*connections.connection_manager.connections_by_user["bob"])
    assert len(connections.conversation_feeds) == 0


async def test_who_was_online_already() -> None:
    """``add_user_to_online`` says whether the user had another device; one that leaves takes no other along."""
    now = 0.0
    store = MemoryPresenceStore(now=lambda: now)
    one = PresenceManager(store, announce=lambda _: None, lease_s=30)
    other = PresenceManager(store, announce=lambda _: None, lease_s=30)
    assert not await one.add_user_to_online("ann", "phone")
    assert await other.add_user_to_online("ann", "laptop")
    await one.remove_user_from_online("ann", "phone")
    now = 10.0
    assert await one.is_user_online("ann")
    await other.remove_user_from_online("ann", "laptop")
    now = 20.0
    assert not await one.is_user_online("ann")


async def test_no_cache_outlives_a_lease() -> None:
    """The other instance has died without a word: whoever asked before gets another answer once its lease is over."""
    now = 0.0
    store = MemoryPresenceStore(now=lambda: now)
    dead = PresenceManager(store, announce=lambda _: None, lease_s=30)
    asking = PresenceManager(store, announce=lambda _: None, lease_s=30)
    await dead.add_user_to_online("ann", "phone")
    assert await asking.is_user_online("ann")
    now = 31.0
    assert not await asking.is_user_online("ann")


async def test_a_manager_that_was_not_initialized_says_so() -> None:
    """Instead of connecting devices that would never hear of the other instances."""
    chat = compose(Settings(secret_key=SECRET), {"store": MemoryStore()})
    with pytest.raises(RuntimeError, match="await initialize"):
        await chat.connections.connect("ann", FakeTransport(), [], welcome, is_device_wide=True)


def test_a_service_without_what_it_needs_says_what() -> None:
    """By name, when it is made; not later, when it is used."""
    with pytest.raises(TypeError, match="connection_manager"):
        BroadcastingService()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="presence_manager"):
        DistributedConnectionManager()  # type: ignore[call-arg]


async def test_two_apps_share_nothing() -> None:
    """No session, no bus and no manager is global: what happens in one app, does not happen in the other."""
    apps = [create_app(Settings(secret_key=SECRET), store=MemoryStore()) for _ in range(2)]
    one, other = (app.state.chat for app in apps)
    for part in ("event_bus", "connections", "store", "relay", "broadcasting", "notifications"):
        assert getattr(one, part) is not getattr(other, part)
    await asyncio.gather(one.start(), other.start())
    await connect(one, "ann")
    assert [len(chat.connections.connection_manager.index) for chat in (one, other)] == [1, 0]
    assert other.event_bus.published == {}
    await asyncio.gather(one.stop(), other.stop())
