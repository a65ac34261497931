"""The link to Redis: what its callers may rely on, whatever the client library does."""

import asyncio

import pytest

from reference_impl.adapters.redis_client import RedisLink
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import HealthState


async def test_who_is_cancelled_in_a_command_ends(redis_url: str) -> None:
    """At any moment of it. A task that goes on after ``cancel()`` makes the stop of its owner wait for ever."""
    link = RedisLink(redis_url)
    over = asyncio.Event()

    async def ask_forever() -> None:
        while not over.is_set():
            async with link.commands("asking") as redis:
                await redis.ping()

    for number in range(200):
        task = asyncio.create_task(ask_forever())
        await asyncio.sleep(number * 0.00002)  # moments all over a command
        task.cancel()
        await asyncio.wait([task], timeout=2)
        over.set()
        await asyncio.wait([task])
        assert task.cancelled(), "it was cancelled and went on"
        over.clear()
    await link.stop()


async def test_one_caller_finds_out_whether_redis_is_back(redis_url: str) -> None:
    """After a failure nobody asks for a while; then one does, for all, and the others are refused until it knows."""
    link = RedisLink(redis_url)
    link.breaker = CircuitBreaker(failure_threshold=1, cool_down_s=0.001)
    with pytest.raises(Unavailable):
        async with link.commands("asking"):
            raise OSError("the link breaks")
    assert link.health("broker", is_listening=True).state is HealthState.DEGRADED
    await asyncio.sleep(0.01)
    async with link.commands("finding out") as redis:
        with pytest.raises(Unavailable, match="a moment ago"):
            async with link.commands("asking"):
                pytest.fail("it was let through")
        await redis.ping()
    async with link.commands("asking") as redis:
        await redis.ping()
    assert link.health("broker", is_listening=True).is_ok
    assert link.health("broker", is_listening=False).state is HealthState.AWAY
    await link.stop()


async def test_many_commands_at_once_wait_for_their_turn(redis_url: str) -> None:
    """A thousand clients that go at the same moment are no outage of Redis."""
    link = RedisLink(redis_url)

    async def ask() -> int:
        async with link.commands("testing") as redis:
            return int(await redis.incr("many-commands-at-once"))

    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(ask() for _ in range(500)))
        async with link.commands("tidying up") as redis:
            await redis.delete("many-commands-at-once")
    assert sorted(answers) == list(range(1, 501))
    await link.stop()
