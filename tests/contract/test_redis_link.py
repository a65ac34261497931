"""The link to Redis: what its callers may rely on, whatever the client library does."""

import asyncio

from reference_impl.adapters.redis_client import RedisLink


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
