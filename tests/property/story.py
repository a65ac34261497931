"""What happens to a chat in a few seconds, drawn by hypothesis: who comes and goes, and what breaks meanwhile."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from reference_impl.model.errors import Unavailable
from tests.property.links import Fate
from tests.property.peer import Peer
from tests.property.world import World

MOMENTS = [0.0, 0.001, 0.003, 0.01, 0.05, 0.3]
"""In seconds. A message takes 3 ms from its sender to the members; a page of history takes 2 ms."""

ROOMS = ["one", "two"]


@dataclass(frozen=True)
class Stay:
    """A connection: where, how long, and how it ends; what its peer does meanwhile; how long it is away then."""

    place: int
    seconds: float
    code: int
    away: float
    does: Literal["read", "stall", "ask", "say"]
    back: int


@dataclass(frozen=True)
class Trouble:
    """Something that breaks, after a while."""

    after: float
    what: Literal["fates", "redis", "flush", "crash"]
    place: int
    fates: list[Fate]
    seconds: float


@dataclass(frozen=True)
class Story:
    """Everything together. ``last_fate``: what becomes of the last frames of all, which no later one repairs."""

    lives: list[list[Stay]]
    troubles: list[Trouble]
    gaps: list[float]
    last_fate: Fate | None


def _some(items: list[float]) -> st.SearchStrategy[float]:
    return st.sampled_from(items)


FATES = st.lists(st.sampled_from(["lose", "double", "hold"]), min_size=1, max_size=12)

STAYS = st.builds(
    Stay,
    place=st.integers(0, 1),
    seconds=_some([*MOMENTS, 1.5]),
    code=st.sampled_from([1000, 1006]),
    away=_some(MOMENTS),
    does=st.sampled_from(["read", "read", "stall", "ask", "say"]),
    back=st.integers(0, 6),
)

TROUBLES = st.builds(
    Trouble,
    after=_some(MOMENTS),
    what=st.sampled_from(["fates", "fates", "redis", "flush", "crash"]),
    place=st.integers(0, 1),
    fates=FATES,
    seconds=_some([0.01, 0.3, 2.5]),
)

STORIES = st.builds(
    Story,
    lives=st.lists(st.lists(STAYS, min_size=1, max_size=6), min_size=4, max_size=4),
    troubles=st.lists(TROUBLES, max_size=5),
    gaps=st.lists(_some([0.0, 0.0, 0.001, 0.004, 0.02, 0.2]), min_size=20, max_size=40),
    last_fate=st.sampled_from([None, "lose", "hold", "double"]),
)


async def tell(world: World, peers: list[Peer], story: Story) -> None:
    """Lets everything happen side by side. At the end all is well again, and every peer is connected and reads."""
    async with asyncio.TaskGroup() as together:
        for peer, stays in zip(peers, story.lives, strict=True):
            together.create_task(_live(world, peer, stays))
        together.create_task(_talk(world, story.gaps))
        together.create_task(_break(world, story.troubles))
    for number, peer in enumerate(peers):
        if not peer.is_open:
            peer.connect(number % 2)
    await asyncio.sleep(5)
    for instance in world.instances:
        instance.broker.fates.clear()
        instance.broker.fates.extend([story.last_fate] * 2 if story.last_fate else [])
    await asyncio.gather(*(world.say(0, room, "ann", "the last word") for room in ROOMS))
    await asyncio.sleep(5)
    for number, peer in enumerate(peers):  # some have been too slow, or were on an instance that had no store
        if not peer.is_open:
            peer.connect(number % 2)
    await asyncio.sleep(5)


async def _live(world: World, peer: Peer, stays: list[Stay]) -> None:
    for stay in stays:
        await peer.leave()
        await asyncio.sleep(stay.away)
        peer.connect(stay.place)
        await asyncio.sleep(stay.seconds / 2)
        assert peer.socket is not None
        rooms = ROOMS if peer.conversation_id is None else [peer.conversation_id]
        for room in rooms:
            if stay.does == "ask":
                peer.resume(room, back=stay.back)
            elif stay.does == "say":
                peer.say(room)
        if stay.does == "stall":
            peer.socket.reading.clear()
        await asyncio.sleep(stay.seconds / 2)
        peer.socket.reading.set()
        if stay is not stays[-1]:
            await peer.leave(stay.code)


async def _talk(world: World, gaps: list[float]) -> None:
    async with asyncio.TaskGroup() as sayings:
        for number, gap in enumerate(gaps):
            await asyncio.sleep(gap)
            sayings.create_task(_say(world, number // 3 % 2, ROOMS[number // 2 % 2]))


async def _say(world: World, place: int, room: str) -> None:
    with suppress(Unavailable):  # its instance died: nothing is stored, and the sender knows
        await world.say(place, room, "ann", "hello")


async def _break(world: World, troubles: list[Trouble]) -> None:
    for trouble in troubles:
        await asyncio.sleep(trouble.after)
        match trouble.what:
            case "fates":
                world.instances[trouble.place].broker.fates.extend(trouble.fates)
            case "redis":
                world.bus.go_down()
                await asyncio.sleep(trouble.seconds)
                world.bus.come_back()
            case "flush":
                world.presence.flush()
            case "crash":
                await world.replace(trouble.place)
