"""What only the work queue's Redis twin can meet: lost data, foreign entries, clusters, names left behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from reference_impl.adapters import queue_redis
from reference_impl.adapters.queue_redis import GROUP, RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink, redis_client
from reference_impl.model.errors import Unavailable
from reference_impl.model.jobs import QueueSizes


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[RedisWorkQueue]:
    made = RedisWorkQueue(redis_url, RedisLink(redis_url), name="work", prefix=prefix, retention_s=3600)
    yield made
    await made.stop()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = redis_client(redis_url)
    yield client
    await client.aclose()


async def keys_of(redis: Redis, prefix: str) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=prefix + "*")]


async def workers_of(redis: Redis, prefix: str) -> set[bytes]:
    return {one["name"] for one in await redis.xinfo_consumers(f"{prefix}{{queue:work}}:jobs", GROUP)}


async def test_lost_data_is_lost_and_the_queue_goes_on(queue: RedisWorkQueue, redis: Redis, prefix: str) -> None:
    """No method fails for it, not even one that waits; an id that was lost may be asked for again."""
    await queue.enqueue("held", b"")
    (held,) = await queue.claim("w1", 1, 0)
    for _ in range(2):
        await redis.delete(*await keys_of(redis, prefix))
        assert await queue.sizes() == QueueSizes(0, 0, 0, 0)
        await queue.extend([held])
        assert not await queue.put_back(held, delay_s=1, attempts=1)
        assert not await queue.bury(held, "lost")
        assert await queue.reclaim("w1", 1, 0) == []
        assert await queue.leave("w1") == 0
    waiting = asyncio.create_task(queue.claim("w1", 1, 3))
    async with asyncio.timeout(2):
        while b"w1" not in await workers_of(redis, prefix):  # noqa: ASYNC110 - Redis offers nothing to wait on
            await asyncio.sleep(0.005)
    await redis.delete(*await keys_of(redis, prefix))
    assert await queue.enqueue("held", b"")
    async with asyncio.timeout(3):
        claims = await waiting
    claims = claims or await queue.claim("w1", 1, 0)
    assert [claim.job.id for claim in claims] == ["held"]
    assert not await queue.done(held)


async def test_an_entry_that_makes_no_sense_stops_nobody(queue: RedisWorkQueue, redis: Redis, prefix: str) -> None:
    """It becomes a dead letter; its neighbours are handed out."""
    jobs = f"{prefix}{{queue:work}}:jobs"
    await redis.xadd(jobs, {"job": b"\x81nonsense"})
    await redis.xadd(jobs, {"other": b"field"})
    await queue.enqueue("good", b"")
    assert [claim.job.id for claim in await queue.claim("w1", 10, 0)] == ["good"]
    letters = await queue.dead_letters(10)
    assert [letter.reason for letter in letters] == ["the entry can not be read"] * 2
    assert letters[0].job.payload == b"\x81nonsense"


async def test_all_keys_lie_in_one_slot(queue: RedisWorkQueue, redis: Redis, prefix: str) -> None:
    """A cluster runs a script only over keys of one slot."""
    for number in range(4):
        await queue.enqueue(f"job-{number}", b"")
    one, two, three, _ = await queue.claim("w1", 4, 0)
    await queue.done(one)
    await queue.put_back(two, delay_s=60, attempts=1)
    await queue.bury(three, "broken")
    keys = await keys_of(redis, prefix)
    assert len(keys) == 3 + 4
    assert len({key_slot(key) for key in keys}) == 1


async def test_a_done_id_is_forgotten_after_its_time(queue: RedisWorkQueue, redis: Redis, prefix: str) -> None:
    """It expires; that of a job which is not done does not."""
    await queue.enqueue("a", b"")
    key = f"{prefix}{{queue:work}}:id:a"
    assert await redis.ttl(key) == -1
    (claim,) = await queue.claim("w1", 1, 0)
    await queue.done(claim)
    assert 3590 < await redis.ttl(key) <= 3600


async def test_names_of_workers_do_not_pile_up(
    queue: RedisWorkQueue, redis: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start of an instance is a new name: one that leaves takes it along, one that crashed is forgotten."""
    monkeypatch.setattr(queue_redis, "FORGET_WORKER_S", 0.01)
    await queue.enqueue("a", b"")
    await queue.enqueue("b", b"")
    await queue.claim("holds", 1, 0)
    (claim,) = await queue.claim("crashes", 1, 0)
    await queue.done(claim)
    await queue.claim("leaves", 1, 0)
    await queue.leave("leaves")
    async with asyncio.timeout(5):
        while True:
            await queue.reclaim("looks", 1, 3600)
            if await workers_of(redis, prefix) - {b"looks"} == {b"holds"}:
                break
            await asyncio.sleep(0.005)


async def test_redis_away_is_said(prefix: str) -> None:
    """As ``Unavailable``, by every method, and quickly."""
    nowhere = "redis://127.0.0.1:1/0"
    queue = RedisWorkQueue(nowhere, RedisLink(nowhere), name="work", prefix=prefix)
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await queue.enqueue("a", b"")
        with pytest.raises(Unavailable):
            await queue.claim("w1", 1, 1)
        with pytest.raises(Unavailable):
            await queue.sizes()
    await queue.stop()
