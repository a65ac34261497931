"""Who may hear what, while they resume: the conversation says so at every moment, not only at the door."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.links import WAY_S
from tests.property.peer import Peer
from tests.property.virtual_time import VirtualTime
from tests.property.world import World

NOTICE_S = 2.0
"""How long somebody who was removed may go on hearing."""


async def _world(messages: int) -> World:
    world = await World().start()
    await world.conversation("room", "ann", "bob", "cleo")
    for _ in range(messages):
        await world.say(0, "room", "ann", "hello")
    return world


def test_a_stranger_who_resumes_leaves_nothing_behind() -> None:
    """``resume`` for somebody else's conversation: an error, no message, and nothing of it in later pings."""
    with VirtualTime() as time:
        time.run(_a_stranger_resumes())


async def _a_stranger_resumes() -> None:
    world = await _world(3)
    await world.conversation("hers", "dora")
    stranger = Peer(world, "dora", None)
    stranger.connect(0)
    await world.until(lambda: stranger.is_open and bool(stranger.socket and stranger.socket.expected))
    stranger.resume("room")
    stranger.resume("no such room")
    await world.until(lambda: stranger.heard("error") == 2)
    await world.say(1, "room", "ann", "not for strangers")
    connection = next(iter(world.instances[0].chat.connections.connection_manager.index))
    ping = world.instances[0].chat.services.confirmations.make_ping(connection)
    assert connection.joined_ids == {"hers"}
    assert "room" not in ping.text
    assert len(world.instances[0].chat.connections.conversation_feeds) == 1
    assert stranger.held("room").messages == {}
    await stranger.leave()
    await world.stop()


@settings(max_examples=25, deadline=None)
@given(
    messages=st.integers(0, 6),
    steps=st.integers(0, 12),
    device_wide=st.booleans(),
    redis_is_up=st.booleans(),
    place=st.integers(0, 1),
)
def test_removed_at_any_moment(messages: int, steps: int, device_wide: bool, redis_is_up: bool, place: int) -> None:
    """Removed in any step of a resume: the socket hears nothing that is said two seconds later, Redis or not."""
    with VirtualTime() as time:
        time.run(_removed(messages, steps, device_wide=device_wide, redis_is_up=redis_is_up, place=place))


async def _removed(messages: int, steps: int, *, device_wide: bool, redis_is_up: bool, place: int) -> None:
    world = await _world(messages)
    stays = Peer(world, "cleo", "room")  # keeps the feed open
    stays.connect(place)
    await world.pass_time(1)
    bob = Peer(world, "bob", None if device_wide else "room")
    bob.connect(place)
    if not redis_is_up:
        world.bus.go_down()
    await world.pass_time(steps * WAY_S)
    await world.remove(1, "room", "bob")
    await world.pass_time(NOTICE_S)
    heard = dict(bob.held("room").messages)
    await world.say(0, "room", "ann", "not for bob")
    await world.pass_time(NOTICE_S)
    assert bob.held("room").messages == heard
    assert stays.held("room").last_seq == messages + 1
    assert device_wide or (bob.socket is not None and bob.socket.closed_with == 4003)
    for connection in world.instances[place].chat.connections.connection_manager.index:
        assert connection.user_id == "cleo" or not connection.joined_ids | connection.conversation_ids
    for peer in (bob, stays):
        await peer.leave()
    await world.stop()
    assert bob.violations + stays.violations == []
