"""How this server talks to Redis: one place for timeouts, retries and the key prefix."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from reference_impl.model.errors import Unavailable

TIMEOUT_S = 2.0
"""How long one command may take before Redis counts as away."""


def redis_client(url: str) -> Redis:
    """A client for commands. It fails fast instead of retrying: the callers know what a failure means."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


@asynccontextmanager
async def redis_errors(doing: str) -> AsyncIterator[None]:
    """Turns whatever redis raises into ``Unavailable``."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"{doing}: Redis is away ({type(error).__name__})") from error
