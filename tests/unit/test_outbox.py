"""The bounded queue of one connection."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reference_impl.core.outbox import Outbox
from reference_impl.model.envelope import EncodedFrame

T = TypeVar("T")


def frame(text: str, key: str | None = None) -> EncodedFrame:
    return EncodedFrame(text.encode(), key=key)


EVERYTHING = 1 << 20


def texts(outbox: Outbox, max_bytes: int = EVERYTHING) -> list[str]:
    """Takes out what comes next."""
    return [one.text for one in outbox.take(max_bytes)]


async def turns(count: int = 5) -> None:
    """Lets every task run as far as it can without a clock."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_frames_come_out_in_order() -> None:
    """First in, first out, all at once; the sizes are given back."""
    outbox = Outbox(10, 100)
    for text in "abc":
        assert outbox.put(frame(text))
    assert (len(outbox), outbox.bytes) == (3, 3)
    assert texts(outbox) == ["a", "b", "c"]
    assert (len(outbox), outbox.bytes, texts(outbox)) == (0, 0, [])


async def test_takes_out_no_more_than_asked_for() -> None:
    """As many frames as fit, but one at least: a large one must get out, too. Keys wait for the others."""
    outbox = Outbox(10, 100)
    for text in ("aaa", "bbb", "c" * 20, "d"):
        outbox.put(frame(text))
    outbox.put(frame("typing", "t"))
    assert texts(outbox, 7) == ["aaa", "bbb"]
    assert (len(outbox), outbox.bytes) == (3, 21)
    assert texts(outbox, 7) == ["c" * 20]
    assert texts(outbox, 7) == ["d", "typing"]


async def test_refuses_over_either_limit() -> None:
    """A full outbox says so at once; it neither waits nor drops."""
    few = Outbox(2, 100)
    assert [few.put(frame("x")) for _ in range(3)] == [True, True, False]
    small = Outbox(100, 10)
    assert [small.put(frame("12345")) for _ in range(3)] == [True, True, False]
    assert len(small) == 2


async def test_closing_hands_out_what_waits_then_ends() -> None:
    """After closing nothing is taken in; what was queued still comes out."""
    outbox = Outbox(10, 100)
    outbox.put(frame("x"))
    outbox.close()
    assert not outbox.put(frame("y"))
    assert texts(outbox) == ["x"]
    assert texts(outbox) == []


async def test_closing_with_discard_empties_it() -> None:
    """At once."""
    outbox = Outbox(10, 100)
    outbox.put(frame("x"))
    outbox.close(discard=True)
    assert (len(outbox), outbox.bytes, texts(outbox)) == (0, 0, [])


async def test_of_one_key_only_the_latest_waits() -> None:
    """Three states of the same thing: the reader gets the last one, the other two are counted."""
    outbox = Outbox(16, 100)
    for text, key in (("1", "typing"), ("2", "typing"), ("on", "presence"), ("3", "typing")):
        assert outbox.put(frame(text, key))
    assert (len(outbox), outbox.superseded) == (2, 2)
    assert texts(outbox) == ["on", "3"]


async def test_messages_overtake_what_is_true_for_a_moment() -> None:
    """Frames with a key come out behind all those without one, whenever they were put."""
    outbox = Outbox(16, 100)
    for text, key in (("typing", "t"), ("m1", None), ("online", "p"), ("m2", None)):
        assert outbox.put(frame(text, key))
    assert texts(outbox, 3) == ["m1"]
    assert outbox.put(frame("m3"))
    assert texts(outbox) == ["m2", "m3", "typing", "online"]


async def test_a_frame_with_a_key_never_costs_a_message_its_place() -> None:
    """With both lanes full, messages are refused at their own limit and no earlier; no key is ever refused."""
    outbox = Outbox(8, 8)
    assert all(outbox.put(frame("x" * 100, f"key-{number}")) for number in range(50))
    assert [outbox.put(frame("m")) for _ in range(9)] == [True] * 8 + [False]
    assert outbox.put(frame("one more", "key-x"))
    assert outbox.bytes == 8
    assert texts(outbox)[:8] == ["m"] * 8


async def test_the_lane_of_the_keys_is_bounded() -> None:
    """A quarter as long as the outbox: when it is full the oldest goes, and is counted. At least one fits."""
    outbox = Outbox(8, 100)
    for number in range(5):
        outbox.put(frame(str(number), f"key-{number}"))
    assert (len(outbox), outbox.superseded) == (2, 3)
    assert texts(outbox) == ["3", "4"]
    tiny = Outbox(1, 100)
    for number in range(3):
        tiny.put(frame(str(number), f"key-{number}"))
    assert (texts(tiny), tiny.superseded) == (["2"], 2)


async def test_after_closing_no_key_is_taken_either() -> None:
    """A closed outbox refuses both kinds; discarding forgets both."""
    outbox = Outbox(8, 100)
    outbox.put(frame("typing", "t"))
    outbox.close(discard=True)
    assert not outbox.put(frame("more", "t"))
    assert (len(outbox), texts(outbox)) == (0, [])


async def test_room_is_half_of_the_outbox() -> None:
    """Who waits for room gets it once half is free, by number and by bytes; the other half stays for live frames."""
    outbox = Outbox(4, 100)
    for text in "abc":
        outbox.put(frame(text))
    waiting = asyncio.create_task(outbox.room_for(frame("d")))
    outbox.take(1)
    await turns()
    assert not waiting.done()
    outbox.take(1)
    async with asyncio.timeout(5):
        assert await waiting
    large = Outbox(100, 10)
    large.put(frame("12"))
    large.put(frame("34"))
    bytes_waiting = asyncio.create_task(large.room_for(frame("5678")))
    await turns()
    assert not bytes_waiting.done()
    large.take(1)
    await turns()
    assert not bytes_waiting.done()  # two and four are more than five
    large.take(1)
    async with asyncio.timeout(5):
        assert await bytes_waiting


async def test_an_empty_outbox_has_room_for_anything() -> None:
    """A frame larger than the whole outbox goes alone: otherwise it could never be sent. Keys do not count."""
    outbox = Outbox(4, 10)
    outbox.put(frame("typing", "t"))
    huge = frame("x" * 50)
    async with asyncio.timeout(5):
        assert await outbox.room_for(huge)
    assert outbox.put(huge)
    assert not outbox.put(frame("y"))
    assert outbox.take(1) == [huge]
    assert outbox.bytes == 0


async def test_closing_ends_the_wait_for_room() -> None:
    """False, whether the outbox was closed before or during the wait, and whether it is empty or not."""
    for discard in (True, False):
        outbox = Outbox(2, 100)
        outbox.put(frame("a"))
        waiting = asyncio.create_task(outbox.room_for(frame("b")))
        await turns()
        outbox.close(discard=discard)
        async with asyncio.timeout(5):
            assert not await waiting
            assert not await outbox.room_for(frame("c"))


TEXTS = st.text("x", min_size=1, max_size=12)


class OutboxModel(RuleBasedStateMachine):
    """Two lists say what an outbox does: messages in order and bounded, behind them the latest of each key."""

    MAX_FRAMES, MAX_BYTES = 8, 30

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.outbox = Outbox(self.MAX_FRAMES, self.MAX_BYTES)
        self.messages: list[EncodedFrame] = []
        self.latest: list[EncodedFrame] = []
        self.superseded = 0
        self.closed = False
        self.asking: list[tuple[asyncio.Task[bool], EncodedFrame]] = []

    def teardown(self) -> None:
        self.outbox.close(discard=True)
        self.run(turns())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 5))

    def size(self) -> int:
        return sum(one.size for one in self.messages)

    def fits(self, one: EncodedFrame, share: int) -> bool:
        few = len(self.messages) < self.MAX_FRAMES // share
        return not self.messages or (few and self.size() + one.size <= self.MAX_BYTES // share)

    @rule(text=TEXTS)
    def put(self, text: str) -> None:
        is_taken = not self.closed and self.fits(frame(text), 1)
        assert self.outbox.put(frame(text)) == is_taken
        if is_taken:
            self.messages.append(frame(text))

    @rule(text=TEXTS, key=st.sampled_from("abcd"))
    def put_with_a_key(self, text: str, key: str) -> None:
        assert self.outbox.put(frame(text, key)) == (not self.closed)
        if self.closed:
            return
        same = [one for one in self.latest if one.key == key]
        oldest = self.latest[:1] if len(self.latest) >= self.MAX_FRAMES // 4 else []
        for gone in same or oldest:
            self.latest.remove(gone)
            self.superseded += 1
        self.latest.append(frame(text, key))

    @rule(max_bytes=st.integers(1, 40))
    def take(self, max_bytes: int) -> None:
        expected: list[EncodedFrame] = []
        while self.messages and (not expected or sum(one.size for one in [*expected, self.messages[0]]) <= max_bytes):
            expected.append(self.messages.pop(0))
        if not self.messages and sum(one.size for one in expected) <= max_bytes:
            expected += self.latest
            self.latest = []
        assert self.outbox.take(max_bytes) == expected

    @rule(text=TEXTS)
    def ask_for_room(self, text: str) -> None:
        self.asking.append((self.loop.create_task(self.outbox.room_for(frame(text))), frame(text)))

    @precondition(lambda self: len(self.messages) > 2)
    @rule(discard=st.booleans())
    def close(self, discard: bool) -> None:
        self.outbox.close(discard=discard)
        self.closed = True
        if discard:
            self.messages, self.latest = [], []

    @invariant()
    def they_agree(self) -> None:
        assert len(self.outbox) == len(self.messages) + len(self.latest)
        assert self.outbox.bytes == self.size()
        assert self.outbox.superseded == self.superseded

    @invariant()
    def room_is_told_to_those_who_ask(self) -> None:
        self.run(turns())
        waiting = []
        for task, one in self.asking:
            assert task.done() == (self.closed or self.fits(one, 2))
            if task.done():
                assert task.result() == (not self.closed)
            else:
                waiting.append((task, one))
        self.asking = waiting


TestOutboxModel = OutboxModel.TestCase
TestOutboxModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
