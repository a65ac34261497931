"""The promises of background work: the ``MessageQueue`` over both twins of its work queue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from reference_impl.core import message_queue
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.errors import QueueFull, Unavailable
from reference_impl.model.jobs import Job, PermanentFailure, Postponed, QueueSizes
from tests.contract.conftest import HandClock
from tests.fakes import until

MakeInstance = Callable[..., MessageQueue]


class Effects:
    """A handler that notes what it did; ``fail[job id]`` is raised, that many times as are in the list."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun: list[str] = []
        self.fail: dict[str, list[Exception]] = {}
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, job: Job) -> None:
        self.begun.append(job.id)
        await self.may_go_on.wait()
        if self.fail.get(job.id):
            raise self.fail[job.id].pop()
        self.done.append(job.id)


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
async def make_instance(
    make_work_queue: Callable[[], WorkQueue], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeInstance]:
    """Makes instances over one queue: one job at a time, delays of 2, 4, 8 … seconds, four attempts."""
    monkeypatch.setattr(message_queue, "WAIT_S", 0.02)
    monkeypatch.setattr(message_queue, "IDLE_WAIT_S", 0.02)  # the clock is moved by hand, and wakes nobody
    made: list[MessageQueue] = []

    def make(queue: WorkQueue | None = None, **settings: Any) -> MessageQueue:
        defaults: dict[str, Any] = {"workers": 1, "max_attempts": 4, "delay_s": lambda attempt: 2.0**attempt}
        name = f"i-{len(made)}"
        made.append(MessageQueue(queue=queue or make_work_queue(), worker=name, **(defaults | settings)))
        return made[-1]

    yield make
    for instance in made:
        await instance.stop(0)


async def enqueue(queue: MessageQueue, *ids: str) -> None:
    for job_id in ids:
        assert await queue.enqueue_message(job_id, {"id": job_id})


async def test_one_worker_works_in_order(make_instance: MakeInstance, effects: Effects) -> None:
    """First in, first out; a job is settled after its effect, and then it is gone."""
    instance = make_instance()
    await enqueue(instance, *"abcde")
    await instance.start(effects)
    await until(lambda: instance.counts["done"] == 5)
    assert effects.done == list("abcde")
    assert instance.counts == {"enqueued": 5, "done": 5, "reclaimed": 0}


async def test_a_burst_is_done_completely(make_instance: MakeInstance, effects: Effects) -> None:
    """Each once, by two instances with several workers each, with batches in between."""
    one, two = make_instance(workers=4, batch_size=3), make_instance(workers=4)
    names = [f"job-{n:02}" for n in range(45)]
    await enqueue(one, *names)
    await one.start(effects)
    await two.start(effects)
    await until(lambda: one.counts["done"] + two.counts["done"] == 45)
    assert sorted(effects.done) == names


async def test_not_settled_before_the_effect(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects
) -> None:
    """While the handler works, the job is still there."""
    effects.may_go_on.clear()
    instance = make_instance()
    await enqueue(instance, "a")
    await instance.start(effects)
    await until(lambda: effects.begun == ["a"])
    assert await work_queue.sizes() == QueueSizes(waiting=0, running=1, delayed=0, dead=0)
    effects.may_go_on.set()
    await until(lambda: instance.counts["done"] == 1)
    assert await work_queue.sizes() == QueueSizes(0, 0, 0, 0)


async def test_a_failure_is_tried_again_later_and_later(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects, hand_clock: HandClock
) -> None:
    """After each attempt the next one is further away; meanwhile others are served."""
    effects.fail["a"] = [ConnectionError("down") for _ in range(3)]
    instance = make_instance()
    await enqueue(instance, "a")
    await instance.start(effects)
    for attempt in (1, 2, 3):
        await until(lambda n=attempt: instance.counts["retried"] == n)
        hand_clock.now += 2.0**attempt - 0.1
        await enqueue(instance, f"other-{attempt}")
        await until(lambda n=attempt: instance.counts["done"] == n)
        assert effects.begun.count("a") == attempt
        hand_clock.now += 0.2
        await until(lambda n=attempt: effects.begun.count("a") == n + 1)
    await until(lambda: instance.counts["done"] == 4)
    assert effects.done == ["other-1", "other-2", "other-3", "a"]
    assert await work_queue.dead_letters(10) == []


async def test_poison_becomes_a_dead_letter(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects, hand_clock: HandClock
) -> None:
    """After its last attempt, with the reason; those behind it were never held up."""
    effects.fail["poison"] = [ValueError("a bug") for _ in range(99)]
    instance = make_instance()
    await enqueue(instance, "poison", "good-1", "good-2")
    await instance.start(effects)
    await until(lambda: instance.counts["done"] == 2)
    for attempt in (1, 2, 3):
        await until(lambda n=attempt: instance.counts["retried"] == n)
        hand_clock.now += 100
    await until(lambda: instance.counts["dead"] == 1)
    (letter,) = await work_queue.dead_letters(10)
    assert (letter.job.id, letter.job.attempts, letter.reason) == ("poison", 4, "ValueError: a bug")
    assert effects.begun.count("poison") == 4


async def test_some_failures_are_for_good(make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects) -> None:
    """A handler that knows it says so, and no second attempt is made. Replayed, the job is done."""
    effects.fail["a"] = [PermanentFailure("no such phone")]
    instance = make_instance()
    await enqueue(instance, "a")
    await instance.start(effects)
    await until(lambda: instance.counts["dead"] == 1)
    (letter,) = await work_queue.dead_letters(10)
    assert letter.reason == "PermanentFailure: no such phone"
    await work_queue.replay(letter)
    await until(lambda: effects.done == ["a"])


async def test_what_could_not_begin_is_no_attempt(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects, hand_clock: HandClock
) -> None:
    """A job may be postponed more often than it may fail."""
    effects.fail["a"] = [Postponed("not now", 30) for _ in range(9)]
    instance = make_instance()
    await enqueue(instance, "a")
    await instance.start(effects)
    for number in range(1, 10):
        await until(lambda n=number: instance.counts["postponed"] == n)
        hand_clock.now += 30.1
    await until(lambda: effects.done == ["a"])
    assert instance.counts["retried"] == 0


async def test_a_dead_instance_s_jobs_are_taken_over(
    make_instance: MakeInstance, make_work_queue: Callable[[], WorkQueue], effects: Effects, hand_clock: HandClock
) -> None:
    """Once, by an instance that lives."""
    await make_work_queue().enqueue("a", b"{}")
    await make_work_queue().claim("crashed", 1, 0)
    hand_clock.now += 60
    one, two = make_instance(claim_s=0.1), make_instance(claim_s=0.1)
    await one.start(effects)
    await two.start(effects)
    await until(lambda: effects.done == ["a"])
    await until(lambda: one.counts["done"] + two.counts["done"] == 1)
    assert one.counts["reclaimed"] + two.counts["reclaimed"] == 1


async def test_what_kills_its_worker_is_given_up(
    make_instance: MakeInstance, make_work_queue: Callable[[], WorkQueue], effects: Effects, hand_clock: HandClock
) -> None:
    """A job whose workers are never heard of again uses up its attempts, and then nobody touches it."""
    queue = make_work_queue()
    await queue.enqueue("killer", b"{}")
    await queue.claim("dies-1", 1, 0)
    for number in (2, 3, 4):
        hand_clock.now += 60
        while not await queue.reclaim(f"dies-{number}", 1, 0.001):  # noqa: ASYNC110 - time must pass, here and in Redis
            await asyncio.sleep(0.002)
    hand_clock.now += 60
    instance = make_instance(claim_s=0.1)
    await instance.start(effects)
    await until(lambda: instance.counts["dead"] == 1)
    assert effects.begun == []
    (letter,) = await queue.dead_letters(1)
    assert "its last worker was never heard of again" in letter.reason


async def test_a_long_job_stays_with_its_worker(make_instance: MakeInstance, effects: Effects) -> None:
    """Another instance that looks for orphans all the while finds none."""
    effects.may_go_on.clear()
    one, two = make_instance(claim_s=0.3), make_instance(claim_s=0.3)
    await enqueue(one, "long")
    await one.start(effects)
    await until(lambda: effects.begun == ["long"])
    await two.start(effects)
    await asyncio.sleep(0.9)  # three times the claim: that nothing happens in it is what is tested
    effects.may_go_on.set()
    await until(lambda: one.counts["done"] == 1)
    assert effects.begun == ["long"]
    assert two.counts["reclaimed"] == 0


async def test_a_hanging_job_is_ended(make_instance: MakeInstance, effects: Effects) -> None:
    """It fails like any other; its worker is free again."""
    effects.may_go_on.clear()
    instance = make_instance(handler_timeout_s=0.05)
    await enqueue(instance, "hangs", "other")
    await instance.start(effects)
    await until(lambda: instance.counts["retried"] == 2)
    assert effects.begun == ["hangs", "other"]


async def test_asking_twice_is_doing_once(make_instance: MakeInstance, effects: Effects) -> None:
    """On any instance, before and after it is done."""
    one, two = make_instance(), make_instance()
    await enqueue(one, "a")
    assert not await two.enqueue_message("a", {})
    await one.start(effects)
    await until(lambda: one.counts["done"] == 1)
    assert not await two.enqueue_message("a", {})
    assert two.counts == {"known": 2}
    assert effects.done == ["a"]


async def test_a_full_queue_is_said_and_counted(make_instance: MakeInstance) -> None:
    """Nothing is dropped without a word."""
    instance = make_instance()
    await enqueue(instance, *(f"job-{n}" for n in range(50)))
    with pytest.raises(QueueFull):
        await instance.enqueue_message("one more", {})
    assert instance.counts == {"enqueued": 50, "refused": 1}


async def test_stopping_waits_for_what_runs(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects
) -> None:
    """And begins nothing more."""
    effects.may_go_on.clear()
    instance = make_instance()
    await enqueue(instance, "a", "b")
    await instance.start(effects)
    await until(lambda: effects.begun == ["a"])
    stopping = asyncio.create_task(instance.stop(5))
    await asyncio.sleep(0)
    effects.may_go_on.set()
    await stopping
    assert effects.done == ["a"]
    assert await work_queue.sizes() == QueueSizes(waiting=1, running=0, delayed=0, dead=0)
    await instance.stop(5)


async def test_stopping_gives_back_what_takes_too_long(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects
) -> None:
    """At the deadline; another instance has it at once, with no attempt lost."""
    effects.may_go_on.clear()
    instance = make_instance()
    await enqueue(instance, "a")
    await instance.start(effects)
    await until(lambda: effects.begun == ["a"])
    await instance.stop(0.01)
    (claim,) = await work_queue.claim("other", 1, 0)
    assert (claim.job.id, claim.attempt) == ("a", 1)


async def test_many_dead_letters_raise_an_alarm(
    make_instance: MakeInstance, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when the threshold is reached; their number is known."""
    for name in ("a", "b", "c"):
        effects.fail[name] = [PermanentFailure("no such phone")]
    instance = make_instance(claim_s=0.06, dead_letter_alert=3)
    await enqueue(instance, "a", "b", "c")
    await instance.start(effects)
    await until(lambda: instance.is_alarming)
    assert instance.sizes.dead == 3
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR] == [
        "3 dead letters: `course dead-letters list --queue message_queue` shows why"
    ]


async def test_a_list_full_of_dead_letters_blocks_nobody(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects
) -> None:
    """None of them is dropped, however many there are, and those behind them are done."""
    poison = [f"poison-{number:03}" for number in range(100)]
    effects.fail = {name: [PermanentFailure("no such phone")] for name in poison}
    instance = make_instance(workers=8, dead_letter_alert=10)
    await instance.start(effects)
    for done in range(20, 101, 20):
        for name in poison[done - 20 : done]:
            await enqueue(instance, name, f"good-{name}")
        await until(lambda n=done: (instance.counts["dead"], instance.counts["done"]) == (n, n), deadline=20)
    letters = await work_queue.dead_letters(1000)
    assert sorted(letter.job.id for letter in letters) == poison


async def test_whoever_waits_is_told_that_a_job_is_given_up(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects
) -> None:
    """Before it is a dead letter; one who can not be told does not keep it from becoming one."""
    effects.fail = {name: [PermanentFailure("no such phone")] for name in ("a", "b")}
    told: list[tuple[str, str, int]] = []

    async def give_up(job: Job, error: Exception) -> None:
        told.append((job.id, str(error), len(await work_queue.dead_letters(10))))
        if job.id == "a":
            raise RuntimeError("a bug")

    instance = make_instance()
    await enqueue(instance, "a", "b", "c")
    await instance.start(effects, give_up)
    await until(lambda: instance.counts["dead"] == 2)
    assert told == [("a", "no such phone", 0), ("b", "no such phone", 1)]


async def test_a_farewell_that_has_to_wait_is_said_later(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects, hand_clock: HandClock
) -> None:
    """Whom it is for is away: the job is no dead letter until they have been told."""
    effects.fail = {"a": [PermanentFailure("no such phone")] * 9}
    told: list[str] = []
    is_away = True

    async def give_up(job: Job, error: Exception) -> None:
        if is_away:
            raise Unavailable("the store is away")
        told.append(job.id)

    instance = make_instance(claim_s=0.06)
    await enqueue(instance, "a")
    await instance.start(effects, give_up)
    await until(lambda: instance.counts["unsettled"] >= 1)
    assert await work_queue.dead_letters(10) == []
    is_away = False
    hand_clock.now += 100
    await until(lambda: instance.counts["dead"] == 1)
    assert told == ["a"]


async def test_no_payload_is_logged(
    make_instance: MakeInstance, effects: Effects, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even when an error quotes it; where the bug is, is logged."""
    effects.fail["a"] = [ValueError("cannot parse 'a secret text'")]
    instance = make_instance(max_attempts=1)
    with caplog.at_level(logging.DEBUG):
        await enqueue(instance, "a")
        await instance.start(effects)
        await until(lambda: instance.counts["dead"] == 1)
    assert "job a, attempt 1: ValueError; given up" in caplog.text
    assert "in __call__" in caplog.text
    assert "secret" not in caplog.text


async def test_a_queue_that_is_away_is_waited_for(
    make_instance: MakeInstance, work_queue: WorkQueue, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance starts without it and works when it is back; a settlement that failed is made up for."""

    async def away(*arguments: object, **settings: object) -> Any:
        raise Unavailable("Redis is away")

    async def broken(*arguments: object, **settings: object) -> Any:
        raise RuntimeError("a bug in the adapter")

    await work_queue.enqueue("a", b"{}")
    instance = make_instance(work_queue)
    with monkeypatch.context() as patch:
        patch.setattr(work_queue, "claim", away)
        patch.setattr(work_queue, "reclaim", broken)
        patch.setattr(work_queue, "sizes", away)
        patch.setattr(work_queue, "done", away)
        await instance.start(effects)
        await asyncio.sleep(0.06)  # some rounds, in which nothing may happen
        assert effects.begun == []
        patch.delattr(work_queue, "claim")
        await until(lambda: instance.counts["unsettled"] == 1)
    assert effects.done == ["a"]
    assert (await work_queue.sizes()).running == 1
