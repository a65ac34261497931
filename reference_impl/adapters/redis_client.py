"""How this server talks to Redis: one place for timeouts, retries and what a failure means."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, RedisError

from reference_impl.model.circuit_breaker import CircuitBreaker, CircuitState
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import Health, HealthState

CLUSTER_SUFFIX = "+cluster"

TIMEOUT_S = 2.0
"""How long one command may take before Redis counts as away."""

PAUSE_S = 1.0
"""How long nobody asks again after a failure: while Redis hangs, one command waits for it and not all of them."""

AT_ONCE = 64
"""Commands of an instance on their way. More wait for their turn: when a thousand clients go at once, the client's pool
of 100 connections would be used up, and that would look as if Redis were away.
"""

FAILURES = 1
"""After so many the circuit opens: a caller has another way to go on, so there is nothing to gain by insisting."""


def redis_client(url: str, *, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client for commands. It fails fast instead of retrying: the callers know what a failure means.

    ``timeout_s`` must be longer than what a blocking command is told to wait.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def is_cluster(url: str) -> bool:
    """Whether the URL says that it leads to a cluster: ``redis+cluster://`` or ``rediss+cluster://``."""
    return url.partition(":")[0].endswith(CLUSTER_SUFFIX)


def cluster_client(url: str, *, timeout_s: float = TIMEOUT_S) -> RedisCluster:
    """A client for a cluster, of which ``url`` names any node. It looks once more when a slot has moved."""
    return RedisCluster.from_url(
        url.replace(CLUSTER_SUFFIX, "", 1),
        socket_timeout=timeout_s,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
        reinitialize_steps=0,  # after some MOVED answers it would close every connection, those in use among them
    )


class RedisLink:
    """The connections over which one instance sends commands: to one server, or to the nodes of a cluster.

    A cluster's client takes the same commands, and sends each to the node that has the key. What belongs together,
    in a transaction or a script, must lie in one slot: that is what the braces in the keys are for.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._is_cluster = is_cluster(url)
        make_client = cluster_client if self._is_cluster else redis_client
        self._redis = cast(Redis, make_client(url, timeout_s=timeout_s))
        self.breaker = CircuitBreaker(FAILURES, PAUSE_S)
        self._turns = asyncio.Semaphore(AT_ONCE)

    @contextmanager
    def attempt(self, doing: str) -> Iterator[None]:
        """Whatever redis raises in the block comes out as ``Unavailable``, and so does any attempt while the circuit
        is open: then the block is not run.
        """
        loop = asyncio.get_running_loop()
        permit = self.breaker.admit(loop.time())
        if permit is None:
            raise Unavailable(f"{doing}: Redis was away a moment ago")
        try:
            yield
            self.breaker.succeeded(permit, loop.time())
        except MovedError as error:
            plain = "this Redis is a node of a cluster; use redis+cluster:// in its URL"
            why = "its part of the cluster is moving from node to node" if self._is_cluster else plain
            raise Unavailable(f"{doing}: {why}") from error
        except (RedisError, OSError, TimeoutError) as error:
            self.breaker.failed(permit, loop.time())
            raise Unavailable(f"{doing}: Redis is away ({type(error).__name__})") from error

    @asynccontextmanager
    async def commands(self, doing: str) -> AsyncIterator[Redis]:
        """An attempt with the client. Whoever is cancelled in the block, is cancelled."""
        cancelled_before = _cancel_requests()
        try:
            async with self._turns:
                with self.attempt(doing):
                    # A cluster's client that does not know the cluster yet would send its first commands to any node.
                    await self._redis.initialize()
                    yield self._redis
        finally:
            # The client sends under `asyncio.wait_for`, which before Python 3.12 may swallow a cancellation that
            # comes just then. Its task would go on for ever, and whoever waits for its end with it.
            if _cancel_requests() > cancelled_before:
                raise asyncio.CancelledError

    def health(self, part: str, *, is_listening: bool) -> Health:
        """How a part is that sends commands over this link, and listens over one of its own."""
        if not is_listening:
            return Health(part, HealthState.AWAY, "no link to listen on; messages arrive by way of the store")
        if self.breaker.state is not CircuitState.CLOSED:
            return Health(part, HealthState.DEGRADED, "it listens, but commands fail")
        return Health(part)

    async def stop(self) -> None:
        """Closes the connections. Idempotent."""
        await self._redis.aclose()


def _cancel_requests() -> int:
    """How often the running task was asked to end, less what a timeout has taken back."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
