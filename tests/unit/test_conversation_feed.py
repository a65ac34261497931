"""Delivery in order, whatever pub/sub does."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.core.conversation_feed import CROSSING_S, ConversationFeed
from reference_impl.model.bus_messages import ConversationMessage
from reference_impl.model.conversations import Conversation
from reference_impl.model.envelope import EncodedFrame, encode_new_message
from reference_impl.model.messages import MessageDraft, MessageInfo
from tests.fakes import NOON, until
from tests.property.virtual_time import VirtualTime


class Room:
    """A conversation in a store, its feed, and what the feed delivered."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.delivered: list[tuple[str | None, str | None]] = []
        self.feed = ConversationFeed("room", self.store, self._deliver)

    async def opened(self, already_there: int = 0) -> "Room":
        room = Conversation(id="room", title="", creator_id="ann", participant_ids=["ann"], created_at=NOON)
        await self.store.create_conversation(room)
        await self.say(already_there)
        await self.feed.open()
        return self

    async def say(self, count: int) -> list[ConversationMessage]:
        """Stores messages and returns what would be published for them."""
        return [self._published((await self.store.append(self._draft()))[0]) for _ in range(count)]

    @staticmethod
    def _draft() -> MessageDraft:
        return MessageDraft(
            id="", conversation_id="room", sender_id="ann", sender_type="user", sender_name="Ann",
            type="text", content={}, timestamp=NOON,
        )  # fmt: skip

    @staticmethod
    def _published(message: MessageInfo) -> ConversationMessage:
        return ConversationMessage(
            instance_id="i-other", conversation_id="room", message_id=f"m-{message.seq}", seq=message.seq,
            frame=encode_new_message(message).data, origin_connection_id=f"c-{message.seq}",
        )  # fmt: skip

    def _deliver(self, _conversation: str, frame: EncodedFrame, origin: str | None) -> None:
        self.delivered.append((frame.text, origin))

    def seqs(self) -> list[int]:
        return [int(text.split('"seq":')[1].split(",")[0]) for text, _ in self.delivered if text]


async def test_starts_at_the_head() -> None:
    """Who joins gets what comes from now on, not what was there."""
    room = await Room().opened(already_there=3)
    assert room.feed.last_seq == 3
    for message in await room.say(2):
        room.feed.accept(message)
    assert room.seqs() == [4, 5]


async def test_what_comes_while_it_opens_waits() -> None:
    """A message published between subscribing and reading the head is delivered after it, once."""
    room = Room()
    await room.opened()
    late_feed = ConversationFeed("room", room.store, room._deliver)
    first, second = await room.say(2)
    late_feed.accept(second)
    late_feed.accept(first)
    await late_feed.open()  # the head is 2 by now: both are in it
    assert (late_feed.last_seq, room.seqs()) == (2, [])
    (third,) = await room.say(1)
    late_feed.accept(third)
    assert room.seqs() == [3]


async def test_a_lost_wakeup_is_read_from_the_store() -> None:
    """Message 2 never arrives: 3 waits until 2 has been read, and the connection that sent 3 is remembered."""
    room = await Room().opened()
    first, _lost, third = await room.say(3)
    room.feed.accept(first)
    room.feed.accept(third)
    assert room.seqs() == [1]
    await until(lambda: len(room.delivered) == 3)
    assert room.seqs() == [1, 2, 3]
    assert room.delivered[2][1] == "c-3"
    assert room.feed.repaired == 2


def test_what_another_overtakes_is_not_read() -> None:
    """Publications of two instances cross: the earlier message is a moment behind. Each gap is waited for anew."""

    async def cross() -> None:
        room = await Room().opened()
        for _ in range(5):
            earlier, later = await room.say(2)
            room.feed.accept(later)
            await asyncio.sleep(0.9 * CROSSING_S)
            room.feed.accept(earlier)
        assert (room.seqs(), room.feed.repaired) == ([*range(1, 11)], 0)
        _lost, after = await room.say(2)
        room.feed.accept(after)
        await asyncio.sleep(1.1 * CROSSING_S)
        assert (room.seqs(), room.feed.repaired) == ([*range(1, 13)], 2)

    with VirtualTime() as time:
        time.run(cross())


def test_who_knows_the_head_does_not_wait() -> None:
    """The store was asked, or another instance was: nothing is on its way that must not be read."""

    async def know() -> None:
        room = await Room().opened()
        *_, last = await room.say(3)
        room.feed.accept(last)
        room.feed.expect(3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (room.seqs(), asyncio.get_running_loop().time()) == ([1, 2, 3], 0)

    with VirtualTime() as time:
        time.run(know())


async def test_closing_ends_the_wait_for_a_gap() -> None:
    """What nobody needs any more is not read."""
    room = await Room().opened()
    *_, last = await room.say(2)
    room.feed.accept(last)
    await room.feed.close()
    await asyncio.sleep(2 * CROSSING_S)
    assert room.seqs() == []


async def test_catching_up_after_a_broken_link() -> None:
    """With no wake-up at all, catching up delivers everything the store has, page by page."""
    room = await Room().opened()
    await room.say(450)
    room.feed.catch_up()
    room.feed.catch_up()
    await until(lambda: len(room.delivered) == 450)
    assert room.seqs() == list(range(1, 451))


async def test_closing_ends_a_repair() -> None:
    """A feed nobody needs any more leaves no task behind."""
    room = await Room().opened()
    await room.say(5)
    room.feed.catch_up()
    await room.feed.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if task.get_name().startswith("repair")]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
async def test_any_loss_doubling_and_order(data: st.DataObject) -> None:
    """Whatever arrives, however often and in whatever order: each message once, in order, up to the last that came."""
    room = await Room().opened()
    published = await room.say(data.draw(st.integers(1, 12)))
    arriving = data.draw(st.lists(st.sampled_from(published), min_size=1, max_size=30))
    for message in arriving:
        room.feed.accept(message)
        if data.draw(st.booleans()):
            await asyncio.sleep(0)
    highest = max(message.seq for message in arriving)
    await until(lambda: len(room.delivered) >= highest)
    seqs = room.seqs()
    assert seqs == list(range(1, len(seqs) + 1))
    await room.feed.close()
