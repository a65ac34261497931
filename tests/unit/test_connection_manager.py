"""The connections of one instance."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import ConnectionLimitExceeded
from tests.fakes import FakeTransport, connection_manager, until

FRAME = EncodedFrame(b"{}")


def assert_indexes_agree(manager: ConnectionManager) -> None:
    """Every index tells the same story, and none has an entry for nobody."""
    by_id = manager.index.by_id
    assert {c for ids in manager.index.by_user.values() for c in ids} == set(by_id)
    assert {c for members in manager.index.by_conversation.values() for c in members} <= set(by_id)
    assert all(manager.index.by_user.values())
    assert all(manager.index.by_conversation.values())
    assert all(by_id[c].user_id == user for user, ids in manager.index.by_user.items() for c in ids)
    for conversation_id, members in manager.index.by_conversation.items():
        assert all(conversation_id in by_id[c].conversation_ids for c in members)


async def test_a_connection_is_found_by_everything() -> None:
    """After connecting, all three indexes know the connection; after disconnecting, none does."""
    manager = connection_manager()
    connection_id = await manager.connect("ann", FakeTransport(), {"device_type": "mobile"})
    assert manager.subscribe(manager.connections_by_id[connection_id], "room")
    assert set(manager.connections_by_id) == {connection_id}
    assert manager.connections_by_user == {"ann": {connection_id}}
    assert manager.connection_metadata[connection_id]["device_type"] == "mobile"
    assert set(manager.index.by_conversation["room"]) == {connection_id}
    assert_indexes_agree(manager)
    await manager.disconnect(connection_id)
    assert await manager.disconnect(connection_id) is None
    assert (manager.connections_by_id, manager.connections_by_user, manager.index.by_conversation) == ({}, {}, {})


async def test_the_limit_holds_when_many_connect_at_once() -> None:
    """Of eight handshakes that are under way together, five get a slot and three are told why not."""
    manager = connection_manager(max_connections_per_user=5)
    transports = [FakeTransport() for _ in range(8)]
    for transport in transports:
        transport.accepting.clear()
    tasks = [asyncio.create_task(manager.connect("ann", transport)) for transport in transports]
    await asyncio.sleep(0)
    for transport in transports:
        transport.accepting.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, ConnectionLimitExceeded)]
    assert len(refused) == 3
    assert "close another device" in str(refused[0])
    assert len(manager.connections_by_user["ann"]) == 5
    for connection_id in list(manager.connections_by_id):
        await manager.disconnect(connection_id)


async def test_a_failed_handshake_costs_nothing() -> None:
    """A peer that goes away during the handshake leaves no slot taken."""
    manager = connection_manager(max_connections_per_user=1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            await manager.connect("ann", FakeTransport(fail_accept=True))
    assert not manager.connections_by_id
    connection_id = await manager.connect("ann", FakeTransport())
    await manager.disconnect(connection_id)


async def test_the_instance_has_a_limit_too() -> None:
    """However many users: an instance takes what it can."""
    manager = connection_manager(max_connections=2)
    ids = [await manager.connect(user, FakeTransport()) for user in ("ann", "bob")]
    with pytest.raises(ConnectionLimitExceeded, match="this instance"):
        await manager.connect("cleo", FakeTransport())
    for connection_id in ids:
        await manager.disconnect(connection_id)


async def test_all_devices_get_a_frame() -> None:
    """Sending to a user reaches all devices, or those of one type; nobody there is False."""
    manager = connection_manager()
    phone, laptop = FakeTransport(), FakeTransport()
    ids = [
        await manager.connect("ann", phone, {"device_type": "mobile"}),
        await manager.connect("ann", laptop, {"device_type": "desktop"}),
    ]
    assert await manager.send_to_user("ann", FRAME)
    assert await manager.send_to_user("ann", EncodedFrame(b"[1]"), device_type="mobile")
    assert not await manager.send_to_user("ann", FRAME, device_type="watch")
    assert not await manager.send_to_user("bob", FRAME)
    await until(lambda: len(phone.sent) == 2)
    assert (phone.sent, laptop.sent) == (["{}", "[1]"], ["{}"])
    for connection_id in ids:
        await manager.disconnect(connection_id)


async def test_a_stalled_reader_harms_only_itself() -> None:
    """One reader stops: sending never waits, the others get everything, the stalled one is closed with 1013."""
    manager = connection_manager(outbox_frames=8)
    stalled, lively = FakeTransport(), FakeTransport()
    stalled.stall()
    for user, transport in (("ann", stalled), ("bob", lively)):
        connection_id = await manager.connect(user, transport)
        manager.subscribe(manager.connections_by_id[connection_id], "room")
    for number in range(50):
        manager.send_to_conversation("room", EncodedFrame(b"%d" % number))
        await until(lambda number=number: len(lively.sent) == number + 1)
    assert lively.sent == [str(number) for number in range(50)]
    stalled.read_on()
    await until(lambda: stalled.closed is not None)
    assert stalled.closed is not None
    assert stalled.closed[0] == CloseCode.TRY_AGAIN_LATER
    for connection_id in list(manager.connections_by_id):
        await manager.disconnect(connection_id)


async def test_who_reads_is_not_too_slow_however_much_comes_at_once() -> None:
    """More frames in one turn than an outbox holds: a peer that reads gets them all, one that does not is let go."""
    manager = connection_manager(outbox_frames=4)
    lively, stalled = FakeTransport(), FakeTransport()
    stalled.stall()
    ids = [await manager.connect(user, transport) for user, transport in (("ann", lively), ("bob", stalled))]
    for number in range(10):
        for connection_id in ids:
            manager.connections_by_id[connection_id].send(EncodedFrame(b"%d" % number))
    await until(lambda: stalled.closed is not None)
    assert lively.sent == [str(number) for number in range(10)]
    assert lively.closed is None
    assert [manager.connections_by_id[connection_id].was_too_slow for connection_id in ids] == [False, True]
    for connection_id in ids:
        await manager.disconnect(connection_id)


async def test_a_dead_peer_does_not_stop_the_others() -> None:
    """A socket that raises is marked as closing; everybody else gets the frame."""
    manager = connection_manager()
    dead, alive = FakeTransport(fail_send=True), FakeTransport()
    ids = [await manager.connect(user, transport) for user, transport in (("ann", dead), ("bob", alive))]
    for connection_id in ids:
        manager.subscribe(manager.connections_by_id[connection_id], "room")
    manager.send_to_conversation("room", FRAME)
    await until(lambda: manager.connections_by_id[ids[0]].is_closing and alive.sent)
    assert manager.send_to_conversation("room", FRAME) == 1
    for connection_id in ids:
        await manager.disconnect(connection_id)


class VanishingTransport(FakeTransport):
    """Its peer goes away while a frame is written, and the framework has an error of its own for that."""

    def write(self, frames: Sequence[EncodedFrame]) -> None:
        raise LookupError(frames[0].text)


async def test_a_writer_that_fails_does_not_keep_its_connection() -> None:
    """Whatever a transport raises, the connection can be removed: else its lease would be renewed for ever."""
    manager = connection_manager()
    connection_id = await manager.connect("ann", VanishingTransport())
    connection = manager.connections_by_id[connection_id]
    connection.send(FRAME)
    await connection.written()
    assert connection.is_closing
    assert await manager.disconnect(connection_id) is connection
    assert not manager.connections_by_id


async def test_the_senders_own_connection_is_left_out() -> None:
    """The connection that sent a message gets no copy; the same user's other device does."""
    manager = connection_manager()
    ids = [await manager.connect("ann", FakeTransport()) for _ in range(2)]
    for connection_id in ids:
        manager.subscribe(manager.connections_by_id[connection_id], "room")
    assert manager.send_to_conversation("room", FRAME, ids[0]) == 1
    assert manager.send_to_conversation("empty room", FRAME) == 0
    for connection_id in ids:
        await manager.disconnect(connection_id)


STEPS = st.lists(
    st.tuples(st.sampled_from(["connect", "fail", "join", "leave"]), st.integers(0, 2), st.integers(0, 5)), max_size=40
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
async def test_indexes_agree_after_any_sequence(steps: list[tuple[str, int, int]]) -> None:
    """Whatever comes in whatever order, the indexes agree, the limit holds, and nothing is left at the end."""
    manager = connection_manager(max_connections_per_user=3)
    alive: list[str] = []
    users: Counter[str] = Counter()
    for what, user_number, pick in steps:
        user = f"user-{user_number}"
        if what == "connect" and users[user] < 3:
            alive.append(await manager.connect(user, FakeTransport()))
            users[user] += 1
        elif what == "connect":
            with pytest.raises(ConnectionLimitExceeded):
                await manager.connect(user, FakeTransport())
        elif what == "fail" and users[user] < 3:
            with pytest.raises(OSError, match="gone"):
                await manager.connect(user, FakeTransport(fail_accept=True))
        elif what == "join" and alive:
            assert manager.subscribe(manager.connections_by_id[alive[pick % len(alive)]], f"room-{user_number}")
        elif what == "leave" and alive:
            gone: Any = await manager.disconnect(alive.pop(pick % len(alive)))
            users[gone.user_id] -= 1
        assert_indexes_agree(manager)
        assert {name: len(ids) for name, ids in manager.connections_by_user.items()} == +users
    for connection_id in alive:
        await manager.disconnect(connection_id)
    assert not manager.connections_by_user


async def test_a_connection_knows_its_own_message_however_it_comes_back() -> None:
    """Read from the store, a message does not say which connection it came by: that one recognises it by its id."""
    manager = connection_manager()
    phone, laptop = [await manager.connect("ann", FakeTransport()) for _ in range(2)]
    for connection_id in (phone, laptop):
        manager.subscribe(manager.connections_by_id[connection_id], "room")
    own = manager.connections_by_id[phone].name_own_message()
    assert manager.send_to_conversation("room", EncodedFrame(b"{}", message_id=own)) == 1
    assert manager.send_to_conversation("room", EncodedFrame(b"{}", message_id="another")) == 2
    for _ in range(1000):
        manager.connections_by_id[phone].name_own_message()
    assert manager.send_to_conversation("room", EncodedFrame(b"{}", message_id=own)) == 2, "bounded: it forgets"
    for connection_id in (phone, laptop):
        await manager.disconnect(connection_id)
