"""The lab's faults do what their names say, to the instance they are meant for, and can be undone."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from course import Lab
from course.errors import UserError
from course.workbench.client import LabClient

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=2) as started:
        yield started


async def is_live(lab: Lab, instance: int) -> bool:
    return bool((await lab.state(instance))["broker_live"])


async def until_live(lab: Lab, instance: int, wanted: bool) -> None:
    async with asyncio.timeout(10):
        while await is_live(lab, instance) != wanted:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def pair(lab: Lab, conversation: str) -> tuple[LabClient, LabClient]:
    """Alice on A, Bob on B."""
    return (
        await lab.client("alice", instance=0, conversation=conversation),
        await lab.client("bob", instance=1, conversation=conversation),
    )


async def seqs_after(client: LabClient, text: str) -> list[int]:
    await client.expect("new_message", text=text)
    return [frame["data"]["seq"] for frame in client.received("new_message")]


async def test_a_cell_that_blocks_stops_no_link(lab: Lab) -> None:
    """A learner's cell may compute or sleep for long: the instances go on talking through Redis meanwhile."""
    alice, _bob = await pair(lab, "blocked")
    sent = await alice.send("while nothing is awaited")
    end = time.monotonic() + 10
    reached: set[str] = set()
    while reached != {"instance-0", "instance-1"} and time.monotonic() < end:
        time.sleep(0.02)  # noqa: ASYNC251 - blocking the loop is the point
        reached = {hop.instance for hop in lab.trace(sent) if hop.hop == "bus_received"}
    assert reached == {"instance-0", "instance-1"}


async def test_a_cut_concerns_one_instance(lab: Lab) -> None:
    """B is cut off and A is not; what was said meanwhile reaches B all the same; restored, it is live again."""
    alice, bob = await pair(lab, "cut")
    await lab.redis.cut(instance=1)
    await until_live(lab, 1, wanted=False)
    assert await is_live(lab, 0)
    await alice.send("behind the cut")
    assert await seqs_after(bob, "behind the cut") == [1]
    await lab.redis.restore(instance=1)
    await until_live(lab, 1, wanted=True)
    await alice.send("live")
    assert await seqs_after(bob, "live") == [1, 2]


async def test_a_frozen_link_is_found_out(lab: Lab) -> None:
    """Nothing breaks and nothing comes: the instance notices by itself, and gets its messages from the store."""
    alice, bob = await pair(lab, "frozen")
    await lab.redis.freeze(instance=1)
    await alice.send("into the ice")
    assert await seqs_after(bob, "into the ice") == [1]
    await until_live(lab, 1, wanted=False)
    await lab.redis.thaw(instance=1)
    await until_live(lab, 1, wanted=True)
    await alice.send("thawed")
    assert await seqs_after(bob, "thawed") == [1, 2]


async def test_a_dropped_frame_is_noticed(lab: Lab) -> None:
    """One in the middle by the next number, the last one by the comparison with the store."""
    alice, bob = await pair(lab, "dropped")
    dropped = lab.redis.dropped(1)
    await lab.redis.drop_next(instance=1)
    await alice.send("dropped, in the middle")
    await alice.send("arrives")
    assert await seqs_after(bob, "arrives") == [1, 2]
    await lab.redis.drop_next(instance=1)
    await alice.send("dropped, the last one")
    assert await seqs_after(bob, "dropped, the last one") == [1, 2, 3]
    assert lab.redis.dropped(1) - dropped == 2


async def test_a_slow_link_delays_and_keeps_the_order(lab: Lab) -> None:
    """50 ms each way: nothing is lost, and nothing overtakes."""
    alice, bob = await pair(lab, "slow")
    await lab.redis.slow(0.05, instance=1)
    for number in range(10):
        await alice.send(str(number))
    assert await seqs_after(bob, "9") == list(range(1, 11))
    await lab.redis.restore()


async def test_redis_starts_again_with_nothing(lab: Lab) -> None:
    """Killed, and back at the same address, empty: the instances subscribe again, and say so."""
    alice, bob = await pair(lab, "restart")
    url, pid = lab.redis.url, lab.redis.pid
    await lab.redis.restart()
    assert (lab.redis.url, lab.redis.pid != pid) == (url, True)
    await alice.send("right after")
    assert await seqs_after(bob, "right after") == [1]
    for instance in range(2):
        await until_live(lab, instance, wanted=True)
    await lab.redis.flush()
    await alice.send("after the flush")
    assert await seqs_after(bob, "after the flush") == [1, 2]


async def test_a_wrong_number_is_one_line(lab: Lab) -> None:
    """An instance that is not there is told, not ignored."""
    with pytest.raises(UserError, match="there is no instance 7"):
        await lab.redis.cut(instance=7)
