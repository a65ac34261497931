"""How this server talks to Redis: one place for timeouts, retries and what a failure means."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from reference_impl.model.errors import Unavailable

TIMEOUT_S = 2.0
"""How long one command may take before Redis counts as away."""

PAUSE_S = 1.0
"""How long nobody asks again after a failure: while Redis hangs, one command waits for it and not all of them."""


def redis_client(url: str) -> Redis:
    """A client for commands. It fails fast instead of retrying: the callers know what a failure means."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class RedisLink:
    """The connections over which one instance sends commands."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = redis_client(url)
        self._asked_again_at = 0.0

    @asynccontextmanager
    async def commands(self, doing: str) -> AsyncIterator[Redis]:
        """The client. Whatever redis raises in the block comes out as ``Unavailable``, and so does any command
        within ``PAUSE_S`` seconds after that, without being tried.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._asked_again_at:
            raise Unavailable(f"{doing}: Redis was away a moment ago")
        try:
            yield self._redis
        except (RedisError, OSError, TimeoutError) as error:
            self._asked_again_at = loop.time() + PAUSE_S
            raise Unavailable(f"{doing}: Redis is away ({type(error).__name__})") from error

    async def stop(self) -> None:
        """Closes the connections. Idempotent."""
        await self._redis.aclose()
