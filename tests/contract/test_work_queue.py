"""The promises of the work queue, over both twins, with a clock that is moved by hand."""

import asyncio
from collections.abc import Callable

import pytest

from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import QueueFull
from reference_impl.model.jobs import Claim, Enqueued, QueueSizes
from tests.contract.conftest import HandClock

MakeQueue = Callable[[], WorkQueue]
IDLE_S = 0.02


async def fill(queue: WorkQueue, *ids: str) -> None:
    for job_id in ids:
        assert await queue.enqueue(job_id, job_id.encode())


def ids(claims: list[Claim]) -> list[str]:
    return [claim.job.id for claim in claims]


async def orphans(queue: WorkQueue, worker: str, clock: HandClock) -> list[Claim]:
    """What is reclaimed once the time for it has passed, on the hand's clock and on Redis's own."""
    clock.now += 60
    async with asyncio.timeout(5):
        while not (claims := await queue.reclaim(worker, 10, IDLE_S)):  # noqa: ASYNC110 - time must pass, here and in Redis
            await asyncio.sleep(0.005)
    return claims


async def test_first_in_first_out(work_queue: WorkQueue) -> None:
    """Jobs are handed out in the order they came, in batches no larger than asked for."""
    await fill(work_queue, *"abcde")
    assert ids(await work_queue.claim("w1", 2, 0)) == ["a", "b"]
    assert ids(await work_queue.claim("w2", 2, 0)) == ["c", "d"]
    assert ids(await work_queue.claim("w1", 2, 0)) == ["e"]
    assert await work_queue.claim("w1", 2, 0) == []


async def test_a_claim_carries_the_job(work_queue: WorkQueue, hand_clock: HandClock) -> None:
    """The payload comes out as it went in, with the time and the number of the attempt."""
    await work_queue.enqueue("a", b"\x00\xffpayload")
    (claim,) = await work_queue.claim("w1", 1, 0)
    assert claim.job.payload == b"\x00\xffpayload"
    assert claim.job.enqueued_at == hand_clock.now
    assert (claim.attempt, claim.worker) == (1, "w1")


async def test_a_job_is_there_until_it_is_done(work_queue: WorkQueue) -> None:
    """A held job is not handed out again, and not gone; done, it is gone."""
    await fill(work_queue, "a")
    (claim,) = await work_queue.claim("w1", 1, 0)
    assert await work_queue.claim("w2", 1, 0) == []
    assert await work_queue.sizes() == QueueSizes(waiting=0, running=1, delayed=0, dead=0)
    assert await work_queue.done(claim)
    assert not await work_queue.done(claim)
    assert await work_queue.sizes() == QueueSizes(0, 0, 0, 0)


async def test_waiting_for_a_job_ends_when_one_comes(make_work_queue: MakeQueue) -> None:
    """Who waits is woken, whichever instance the job comes from."""
    here, there = make_work_queue(), make_work_queue()
    waiting = asyncio.create_task(here.claim("w1", 1, 4))
    await asyncio.sleep(0)
    await fill(there, "a")
    async with asyncio.timeout(3):
        assert ids(await waiting) == ["a"]


async def test_two_workers_share_without_doubling(make_work_queue: MakeQueue) -> None:
    """Each job is handed to one of them."""
    queues = [make_work_queue(), make_work_queue()]
    await fill(queues[0], *(f"job-{n:02}" for n in range(40)))
    got: list[list[str]] = [[], []]

    async def work(number: int) -> None:
        while claims := await queues[number].claim(f"w{number}", 3, 0):
            got[number] += ids(claims)
            for claim in claims:
                assert await queues[number].done(claim)
            await asyncio.sleep(0)  # memory answers without waiting

    await asyncio.gather(work(0), work(1))
    assert sorted(got[0] + got[1]) == [f"job-{n:02}" for n in range(40)]
    assert all(got)


async def test_a_dead_worker_s_job_is_taken_over_once(make_work_queue: MakeQueue, hand_clock: HandClock) -> None:
    """After its idle time, by one of those who look, as a second attempt."""
    queues = [make_work_queue() for _ in range(3)]
    await fill(queues[0], "a")
    (lost,) = await queues[0].claim("w0", 1, 0)
    assert await queues[1].reclaim("w1", 10, 30) == []
    (claim,) = await orphans(queues[1], "w1", hand_clock)
    assert (claim.job.id, claim.attempt, claim.worker) == ("a", 2, "w1")
    assert await queues[2].reclaim("w2", 10, 30) == []
    assert not await queues[0].put_back(lost, delay_s=0, attempts=1)
    assert not await queues[0].bury(lost, "too late")
    assert await queues[1].done(claim)
    assert await queues[0].sizes() == QueueSizes(0, 0, 0, 0)


async def test_who_is_overtaken_may_still_say_done(make_work_queue: MakeQueue, hand_clock: HandClock) -> None:
    """The effect is there, whoever brought it about."""
    queue = make_work_queue()
    await fill(queue, "a")
    (slow,) = await queue.claim("slow", 1, 0)
    (claim,) = await orphans(queue, "quick", hand_clock)
    assert await queue.done(slow)
    assert not await queue.put_back(claim, delay_s=0, attempts=2)
    assert await queue.sizes() == QueueSizes(0, 0, 0, 0)


async def test_a_worker_that_says_it_is_alive_keeps_its_job(work_queue: WorkQueue, hand_clock: HandClock) -> None:
    """A long job is no orphan; extending takes nothing back from another worker."""
    await fill(work_queue, "a", "b")
    (mine,) = await work_queue.claim("w1", 1, 0)
    (lost,) = await work_queue.claim("w2", 1, 0)
    hand_clock.now += 60
    await asyncio.sleep(0.05)  # Redis's own clock has to pass: no condition to wait for
    await work_queue.extend([mine])
    (claim,) = await work_queue.reclaim("w3", 10, 0.04)
    assert claim.job.id == "b"
    await work_queue.extend([lost])
    assert not await work_queue.put_back(lost, delay_s=0, attempts=1)
    assert await work_queue.done(claim)
    assert await work_queue.done(mine)


async def test_a_job_put_back_comes_when_it_is_due(work_queue: WorkQueue, hand_clock: HandClock) -> None:
    """Not before; behind those that came meanwhile; with its attempts counted."""
    await fill(work_queue, "a")
    (claim,) = await work_queue.claim("w1", 1, 0)
    assert await work_queue.put_back(claim, delay_s=10, attempts=1)
    assert not await work_queue.put_back(claim, delay_s=10, attempts=1)
    await fill(work_queue, "b")
    hand_clock.now += 9.9
    assert ids(await work_queue.claim("w1", 10, 0)) == ["b"]
    assert await work_queue.sizes() == QueueSizes(waiting=0, running=1, delayed=1, dead=0)
    hand_clock.now += 0.2
    (again,) = await work_queue.claim("w1", 10, 0)
    assert (again.job.id, again.attempt) == ("a", 2)


async def test_an_id_is_asked_for_once(work_queue: WorkQueue, hand_clock: HandClock) -> None:
    """Waiting, held, delayed, dead, or done a short while ago: the same id is not enqueued again."""
    await fill(work_queue, "a")
    assert not await work_queue.enqueue("a", b"again")
    (claim,) = await work_queue.claim("w1", 1, 0)
    assert not await work_queue.enqueue("a", b"again")
    await work_queue.put_back(claim, delay_s=10, attempts=1)
    assert not await work_queue.enqueue("a", b"again")
    hand_clock.now += 10
    (claim,) = await work_queue.claim("w1", 1, 0)
    await work_queue.done(claim)
    assert not await work_queue.enqueue("a", b"again")
    assert await work_queue.sizes() == QueueSizes(0, 0, 0, 0)


async def test_of_many_who_ask_at_once_one_is_heard(make_work_queue: MakeQueue) -> None:
    """Looking and adding are one step."""
    queues = [make_work_queue() for _ in range(4)]
    asked = await asyncio.gather(*(queue.enqueue("a", b"") for queue in queues * 5))
    assert sum(asked) == 1
    assert (await queues[0].sizes()).waiting == 1


async def test_a_full_queue_refuses(work_queue: WorkQueue) -> None:
    """All that are not settled count; nothing is pushed out; who is known is no addition."""
    await fill(work_queue, *(f"job-{n}" for n in range(50)))
    claims = await work_queue.claim("w1", 2, 0)
    await work_queue.put_back(claims[0], delay_s=10, attempts=1)
    with pytest.raises(QueueFull, match="50 jobs are waiting"):
        await work_queue.enqueue("one more", b"")
    assert not await work_queue.enqueue("job-7", b"")
    await work_queue.done(claims[1])
    await fill(work_queue, "one more")


async def test_many_are_asked_for_in_one_step(work_queue: WorkQueue) -> None:
    """In their order, with their payloads; who is known is told so, and none is added twice."""
    assert await work_queue.enqueue_all({}) == {}
    await fill(work_queue, "b")
    answers = await work_queue.enqueue_all({"a": b"1", "b": b"2", "c": b"3"})
    assert answers == {"a": Enqueued.NEW, "b": Enqueued.KNOWN, "c": Enqueued.NEW}
    assert not await work_queue.enqueue("c", b"")
    claims = await work_queue.claim("w1", 10, 0)
    assert [(claim.job.id, claim.job.payload) for claim in claims] == [("b", b"b"), ("a", b"1"), ("c", b"3")]


async def test_many_are_done_at_once(work_queue: WorkQueue) -> None:
    """Each is told whether it was there."""
    await fill(work_queue, *"abcdef")
    claims = await work_queue.claim("w1", 6, 0)
    assert await work_queue.done(claims[2])
    assert await asyncio.gather(*map(work_queue.done, claims)) == [True, True, False, True, True, True]
    assert await work_queue.sizes() == QueueSizes(waiting=0, running=0, delayed=0, dead=0)
    assert [await work_queue.enqueue(job_id, b"") for job_id in "af"] == [False, False]


async def test_of_many_as_many_as_fit_are_taken(work_queue: WorkQueue) -> None:
    """Those behind are refused, and may be asked for again; who is known is no addition, wherever they stand."""
    await fill(work_queue, *(f"job-{n}" for n in range(48)))
    many = dict.fromkeys(("x", "job-1", "y", "z", "job-2"), b"")
    known, new, refused = Enqueued.KNOWN, Enqueued.NEW, Enqueued.REFUSED
    assert [*(await work_queue.enqueue_all(many)).values()] == [new, known, new, refused, known]
    (claim,) = await work_queue.claim("w1", 1, 0)
    await work_queue.done(claim)
    assert [*(await work_queue.enqueue_all(many)).values()] == [known, known, known, new, known]
    assert (await work_queue.sizes()).waiting == 50


async def test_dead_letters_are_listed_in_pages(work_queue: WorkQueue, hand_clock: HandClock) -> None:
    """With their reason and attempts, oldest first. They do not take up the queue's room."""
    for number in range(5):
        await fill(work_queue, f"job-{number}")
        (claim,) = await work_queue.claim("w1", 1, 0)
        assert await work_queue.bury(claim, f"reason {number}")
        assert not await work_queue.bury(claim, "twice")
    page = await work_queue.dead_letters(3)
    assert [letter.reason for letter in page] == ["reason 0", "reason 1", "reason 2"]
    assert (page[0].job.attempts, page[0].died_at) == (1, hand_clock.now)
    rest = await work_queue.dead_letters(3, after=page[-1])
    assert [letter.job.id for letter in rest] == ["job-3", "job-4"]
    assert await work_queue.sizes() == QueueSizes(0, 0, 0, 5)
    assert not await work_queue.enqueue("job-0", b"")


async def test_a_dead_letter_is_replayed_once(work_queue: WorkQueue) -> None:
    """As if it were new: with all its attempts."""
    await fill(work_queue, "a")
    (claim,) = await work_queue.claim("w1", 1, 0)
    await work_queue.bury(claim, "broken")
    (letter,) = await work_queue.dead_letters(10)
    assert await work_queue.replay(letter)
    assert not await work_queue.replay(letter)
    assert not await work_queue.enqueue("a", b"")
    (again,) = await work_queue.claim("w1", 1, 0)
    assert (again.job.id, again.job.payload, again.attempt) == ("a", b"a", 1)
    assert await work_queue.dead_letters(10) == []


async def test_a_replay_into_a_full_queue_is_refused(work_queue: WorkQueue) -> None:
    """The letter stays where it is."""
    await fill(work_queue, "a")
    (claim,) = await work_queue.claim("w1", 1, 0)
    await work_queue.bury(claim, "broken")
    await fill(work_queue, *(f"job-{n}" for n in range(50)))
    (letter,) = await work_queue.dead_letters(10)
    with pytest.raises(QueueFull):
        await work_queue.replay(letter)
    assert await work_queue.dead_letters(10) == [letter]


async def test_a_purged_letter_is_gone(work_queue: WorkQueue) -> None:
    """And its id may be asked for again."""
    await fill(work_queue, "a")
    (claim,) = await work_queue.claim("w1", 1, 0)
    await work_queue.bury(claim, "broken")
    (letter,) = await work_queue.dead_letters(10)
    assert await work_queue.purge(letter)
    assert not await work_queue.purge(letter)
    assert not await work_queue.replay(letter)
    assert await work_queue.enqueue("a", b"")


async def test_who_leaves_gives_back(work_queue: WorkQueue) -> None:
    """At once, with no attempt counted; what others hold stays with them."""
    await fill(work_queue, "a", "b", "c")
    await work_queue.claim("w1", 2, 0)
    (other,) = await work_queue.claim("w2", 1, 0)
    assert await work_queue.leave("w1") == 2
    assert await work_queue.leave("nobody") == 0
    claims = await work_queue.claim("w3", 10, 0)
    assert [(claim.job.id, claim.attempt) for claim in claims] == [("a", 1), ("b", 1)]
    assert await work_queue.done(other)
