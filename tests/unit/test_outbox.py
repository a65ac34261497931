"""The bounded queue of one connection."""

import asyncio

from reference_impl.core.outbox import Outbox
from reference_impl.model.envelope import EncodedFrame


def frame(text: str) -> EncodedFrame:
    return EncodedFrame(text, len(text))


async def test_frames_come_out_in_order() -> None:
    """First in, first out; the sizes are given back."""
    outbox = Outbox(10, 100)
    for text in "abc":
        assert outbox.put(frame(text))
    assert (len(outbox), outbox.bytes) == (3, 3)
    got = [await outbox.get() for _ in range(3)]
    assert [one.text for one in got if one] == ["a", "b", "c"]
    assert (len(outbox), outbox.bytes) == (0, 0)


async def test_refuses_over_either_limit() -> None:
    """A full outbox says so at once; it neither waits nor drops."""
    few = Outbox(2, 100)
    assert [few.put(frame("x")) for _ in range(3)] == [True, True, False]
    small = Outbox(100, 10)
    assert [small.put(frame("12345")) for _ in range(3)] == [True, True, False]
    assert len(small) == 2


async def test_getting_waits_for_a_frame() -> None:
    """An empty outbox makes its reader wait, not spin and not fail."""
    outbox = Outbox(2, 100)
    reader = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert not reader.done()
    outbox.put(frame("x"))
    async with asyncio.timeout(5):
        assert await reader == frame("x")


async def test_closing_hands_out_what_waits_then_ends() -> None:
    """After closing nothing is taken; what was queued still comes out, then None for ever."""
    outbox = Outbox(10, 100)
    outbox.put(frame("x"))
    outbox.close()
    assert not outbox.put(frame("y"))
    assert await outbox.get() == frame("x")
    assert await outbox.get() is None
    assert await outbox.get() is None


async def test_closing_with_discard_ends_at_once() -> None:
    """Discarding empties it and wakes a reader that waits."""
    outbox = Outbox(10, 100)
    outbox.put(frame("x"))
    outbox.close(discard=True)
    assert await outbox.get() is None
    assert outbox.bytes == 0
