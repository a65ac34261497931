"""Who is pushed what, over two instances, through lost frames, outages and crashes. Time is virtual."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.model.conversations import User
from reference_impl.services.push_fallback import LOOK_AGAIN_S
from tests.property.peer import Peer, make_move
from tests.property.virtual_time import VirtualTime
from tests.property.world import World

HEARTBEAT = {"heartbeat_interval_s": 4.0, "heartbeat_timeout_s": 20.0, "presence_lease_s": 6.0}
SETTLED_S = 40.0
"""Longer than a lease, patience and a sweep together."""

SOON_S = 1.5
"""Noticing that a lease has ended, announcing it, deciding."""


class Room:
    """A conversation of Ann, Bob and Cleo on two instances, and what the instances have asked for."""

    def __init__(self) -> None:
        self.world = World(**HEARTBEAT)
        self.asked: list[str] = []

    async def open(self) -> "Room":
        self._count("store", "uncovered")
        self._count("presence", "leases")
        await self.world.start()
        await self.world.conversation("room", "ann", "bob", "cleo")
        return self

    async def close(self, *peers: Peer) -> None:
        for peer in peers:
            await peer.leave(1000)
        await self.world.stop()

    async def enter(self, user_id: str, place: int) -> Peer:
        peer = Peer(self.world, user_id, "room", device_id=user_id)
        peer.answers_pings = True
        peer.connect(place)
        await self.world.until(lambda: peer.is_open and peer.socket is not None and bool(peer.socket.expected))
        return peer

    async def truth(self) -> dict[int, str]:
        return {one.seq: one.id for one in await self.world.store.history("room", after_seq=0, limit=500)}

    @property
    def pushed(self) -> dict[str, int]:
        """User → how many pushes."""
        found = dict[str, int]()
        for (user_id, _), count in self.world.pushes.items():
            found[user_id] = found.get(user_id, 0) + count
        return found

    def _count(self, part: str, name: str) -> None:
        method = getattr(getattr(self.world, part), name)

        async def counted(*arguments: Any, **named: Any) -> Any:
            self.asked.append(name)
            return await method(*arguments, **named)

        setattr(getattr(self.world, part), name, counted)


def test_while_all_have_a_socket_messages_ask_nobody() -> None:
    """A hundred messages in a few seconds: the database is asked who is behind, and Redis who is there, as often as
    once every few seconds, and not for each message.
    """

    async def story() -> None:
        room = await Room().open()
        peers = [await room.enter("ann", 0), await room.enter("bob", 1), await room.enter("cleo", 1)]
        room.asked.clear()
        for _ in range(100):
            await room.world.say(0, "room", "ann", "hello")
            await asyncio.sleep(0.05)
        assert room.asked.count("uncovered") <= 5 / LOOK_AGAIN_S + 2
        assert room.asked.count("leases") <= 5 / LOOK_AGAIN_S + 2
        await asyncio.sleep(SETTLED_S)
        assert room.pushed == {}
        assert all(one.chat.push_fallback.undecided == 0 for one in room.world.instances)
        room.asked.clear()
        await asyncio.sleep(SETTLED_S)
        assert room.asked == [], "where nothing is undecided, nobody looks"
        await room.close(*peers)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


def test_who_has_no_socket_is_told_at_once() -> None:
    """Cleo is away from the start. Then Bob leaves, and what he has not confirmed he is told, too."""

    async def story() -> None:
        room = await Room().open()
        ann, bob = await room.enter("ann", 0), await room.enter("bob", 1)
        for number in range(1, 4):
            await room.world.say(0, "room", "ann", "hello")
            await asyncio.sleep(SOON_S)
            assert room.pushed == {"cleo": number}
        await asyncio.sleep(HEARTBEAT["heartbeat_interval_s"] + 2)  # Bob has confirmed the three
        bob.answers_pings = False
        await room.world.say(0, "room", "ann", "hello")
        await asyncio.sleep(SOON_S)
        await bob.leave(1000)
        await asyncio.sleep(SOON_S)
        assert room.pushed == {"cleo": 4, "bob": 1}
        await room.close(ann)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


def test_a_lost_presence_frame_is_made_good_by_the_next_look() -> None:
    """Bob is lost, and the instance that would push for him never hears of it."""

    async def story() -> None:
        room = await Room().open()
        peers = [await room.enter("ann", 0), await room.enter("cleo", 0)]
        bob = await room.enter("bob", 1)
        await room.world.say(0, "room", "ann", "hello")
        await asyncio.sleep(SOON_S)
        for instance in room.world.instances:
            instance.broker.loses_presence = True
        await bob.leave(1000)
        await room.world.say(0, "room", "ann", "are you there?")
        await asyncio.sleep(LOOK_AGAIN_S + SOON_S)
        assert room.pushed == {"bob": 2}
        await room.close(*peers)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


def test_who_is_back_is_not_pushed_however_old_what_is_known_of_him() -> None:
    """Bob was away, and is back; the instance that decides has not heard of it, and still takes him for absent."""

    async def story() -> None:
        room = await Room().open()
        peers = [await room.enter("ann", 0), await room.enter("cleo", 0)]
        await room.world.say(0, "room", "ann", "hello")
        await asyncio.sleep(SOON_S)
        assert room.pushed == {"bob": 1}
        for instance in room.world.instances:
            instance.broker.loses_presence = True
        peers.append(await room.enter("bob", 1))
        await room.world.say(0, "room", "ann", "welcome back")
        await asyncio.sleep(SETTLED_S)
        assert room.pushed == {"bob": 1}
        await room.close(*peers)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


def test_a_new_member_without_a_socket_is_told_of_the_next_message() -> None:
    """All had a socket; then Dora is added, who has none."""

    async def story() -> None:
        room = await Room().open()
        peers = [await room.enter("ann", 0), await room.enter("bob", 1), await room.enter("cleo", 1)]
        await room.world.say(0, "room", "ann", "before")
        await asyncio.sleep(SOON_S)
        await room.world.store.ensure_user(User(id="dora", display_name="Dora"))
        await room.world.add(1, "room", "dora", by="bob")
        await room.world.say(0, "room", "ann", "after")
        await asyncio.sleep(SOON_S)
        assert room.pushed == {"dora": 1}
        await room.close(*peers)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


def test_what_a_dead_instance_had_not_decided_another_one_does() -> None:
    """The instance that stored the message is killed at once, and with it the sockets of Ann and Bob."""

    async def story() -> None:
        room = await Room().open()
        peers = [await room.enter("ann", 0), await room.enter("bob", 0), await room.enter("cleo", 1)]
        await room.world.say(0, "room", "ann", "last words")
        await room.world.replace(0)
        await asyncio.sleep(SETTLED_S)
        assert room.pushed == {} if peers[1].received else {"bob": 1}
        await room.world.say(1, "room", "cleo", "hello?")
        await asyncio.sleep(SETTLED_S)
        assert room.pushed == {"ann": 1, "bob": 1 if peers[1].received else 2}
        await room.close(*peers)

    with VirtualTime(everywhere=True) as time:
        time.run(story())


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "vanish", "goodbye", "crash", "down", "up", "lose", "say", "say", "say"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([0.05, 0.4, 3.0, 15.0]),
    ),
    max_size=15,
)


@settings(max_examples=25, deadline=None)
@given(moves=MOVES)
def test_each_message_comes_by_a_socket_or_by_one_push(moves: list[tuple[str, int, int, float]]) -> None:
    """Whatever happens: what somebody has got by no socket, they are pushed; and nothing is pushed twice."""
    with VirtualTime(everywhere=True) as time:
        time.run(_never_neither(moves))


async def _never_neither(moves: list[tuple[str, int, int, float]]) -> None:
    room = await Room().open()
    world = room.world
    peers = [Peer(world, user, "room", device_id=user) for user in ("ann", "bob", "cleo")]
    for peer in peers:
        peer.answers_pings = True
    for move, number, place, seconds in moves:
        await _move(world, peers[number], move, place)
        await asyncio.sleep(seconds)
    if not world.bus.is_up:
        world.bus.come_back()
    await asyncio.sleep(SETTLED_S)
    for one in await world.store.history("room", after_seq=0, limit=500):
        for peer in peers:
            pushes = world.pushes[peer.user_id, one.id]
            assert pushes <= 1
            if peer.user_id == one.sender_id:
                assert pushes == 0
            elif one.id not in peer.received:
                assert pushes == 1, f"{peer.user_id} never heard of message {one.seq}"
    for instance in world.instances:
        assert instance.chat.push_fallback.undecided == 0
    await room.close(*peers)


async def _move(world: World, peer: Peer, move: str, place: int) -> None:
    match move:
        case "lose":
            world.instances[place].broker.loses_presence ^= True
        case "say":
            await world.say(place, "room", peer.user_id, "hello")
        case _:
            await make_move(world, peer, move, place)
