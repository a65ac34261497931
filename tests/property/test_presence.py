"""What members see of each other, over two instances, through outages and crashes. Time is virtual."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.peer import Peer, make_move
from tests.property.virtual_time import VirtualTime
from tests.property.world import World

LEASE_S = 6.0
SETTLED_S = LEASE_S + 5

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "vanish", "goodbye", "crash", "down", "up", "wait", "wait"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([0.2, 1.0, 4.0, 15.0]),
    ),
    max_size=12,
)


def believed(watcher: Peer) -> tuple[set[str], set[str]]:
    """Who is online and which devices are there, by the frames that the watcher got."""
    users, devices = set[str](), set[str]()
    for action, data in watcher.events:
        match action:
            case "user_online":
                users.add(data["user_id"])
            case "user_offline":
                users.discard(data["user_id"])
            case "device_connected":
                devices.add(data["device_id"])
            case "device_disconnected":
                devices.discard(data["device_id"])
    return users, devices


@settings(max_examples=12, deadline=None)
@given(moves=MOVES)
def test_what_is_seen_is_what_is_there(moves: list[tuple[str, int, int, float]]) -> None:
    """Devices of two users come, go, vanish, die with their instance; Redis goes and comes. A lease after the last
    of it, the frames that a member got say exactly who is there, and so does the store.
    """
    with VirtualTime() as time:
        time.run(_seen_is_there(moves))


async def _seen_is_there(moves: list[tuple[str, int, int, float]]) -> None:
    world = await World(presence_lease_s=LEASE_S).start()
    await world.conversation("room", "ann", "bob", "cleo")
    watcher = Peer(world, "ann", "room")
    watcher.connect(0)
    await world.until(lambda: watcher.is_open and bool(watcher.socket and watcher.socket.expected))
    owners = ["bob", "bob", "cleo"]
    devices = [Peer(world, owner, "room", device_id=f"{owner}-{number}") for number, owner in enumerate(owners)]
    for move, number, place, seconds in moves:
        await make_move(world, devices[number], move, place)
        await asyncio.sleep(seconds)
    if not world.bus.is_up:
        world.bus.come_back()
    await asyncio.sleep(SETTLED_S)
    there = [device for device in devices if device.is_open]
    users = {device.user_id for device in there}
    seen_users, seen_devices = believed(watcher)
    assert await world.presence.online(["bob", "cleo"]) == users
    assert (seen_users & {"bob", "cleo"}, seen_devices - {"d"}) == (users, {device.device_id for device in there})
    for peer in (*devices, watcher):
        await peer.leave(1000)
    await world.stop()


def test_an_outage_takes_nobody_away() -> None:
    """Redis is away for longer than a lease: whoever stays connected is never shown as gone; who has left, is."""
    with VirtualTime() as time:
        time.run(_an_outage())


async def _an_outage() -> None:
    world = await World(presence_lease_s=LEASE_S).start()
    await world.conversation("room", "ann", "bob", "cleo")
    watcher, bob, cleo = (Peer(world, user, "room", device_id=user) for user in ("ann", "bob", "cleo"))
    for place, peer in enumerate((watcher, bob, cleo)):
        peer.connect(place % 2)
    await world.until(lambda: believed(watcher)[0] >= {"bob", "cleo"})
    world.bus.go_down()
    await asyncio.sleep(LEASE_S)
    await cleo.leave()
    await asyncio.sleep(LEASE_S)
    world.bus.come_back()
    await world.until(lambda: "cleo" not in believed(watcher)[0])
    await asyncio.sleep(SETTLED_S)
    assert "user_offline bob" not in {f"{action} {data.get('user_id')}" for action, data in watcher.events}
    assert "bob" in believed(watcher)[0]
    for peer in (watcher, bob):
        await peer.leave(1000)
    await world.stop()
