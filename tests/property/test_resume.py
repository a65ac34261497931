"""Wherever connections break, and whatever is lost meanwhile: in the end a client holds what a fresh load gives."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.core import conversation_feed, replay
from reference_impl.model.resume import plan_resume
from tests.property.peer import Peer
from tests.property.story import ROOMS, STORIES, Story, tell
from tests.property.virtual_time import VirtualTime
from tests.property.world import World


@settings(max_examples=25, deadline=None)
@given(
    story=STORIES,
    window=st.sampled_from([1, 4, 10_000]),
    snapshot=st.sampled_from([1, 3]),
    page=st.sampled_from([1, 2, 100]),
    feed_page=st.sampled_from([1, 3, 200]),
    outbox_frames=st.sampled_from([4, 256]),
)
def test_the_end_is_what_a_fresh_load_gives(
    story: Story, window: int, snapshot: int, page: int, feed_page: int, outbox_frames: int
) -> None:
    """Nothing lost, doubled or out of order: two on a conversation each, two on all of theirs, over two instances
    of which any may die; frames are lost, doubled, overtaken; Redis goes, or forgets; members write all the while.
    """
    with pytest.MonkeyPatch.context() as patch, VirtualTime() as time:
        patch.setattr(replay, "plan_resume", partial(plan_resume, max_missed=window, snapshot=snapshot))
        patch.setattr(replay, "PAGE", page)
        patch.setattr(conversation_feed, "PAGE", feed_page)
        time.run(_everything_ends_well(story, window, outbox_frames))


async def _everything_ends_well(story: Story, window: int, outbox_frames: int) -> None:
    world = await World(outbox_frames=outbox_frames).start()
    world.window = window
    for room in ROOMS:
        await world.conversation(room, "ann", "bob", "cleo")
    peers = [
        Peer(world, "bob", "one"),
        Peer(world, "cleo", "two"),
        Peer(world, "bob", None, device_id="all"),
        Peer(world, "cleo", None, device_id="all"),
    ]
    await tell(world, peers, story)
    for room in ROOMS:
        truth = {message.seq: message.id for message in await world.store.history(room, limit=10**6)}
        for peer in peers:
            if peer.conversation_id in (None, room):
                assert peer.differences(room, truth) == []
    for peer in peers:
        await peer.leave(1000)
    await world.stop()
    assert [found for peer in peers for found in peer.violations] == []
