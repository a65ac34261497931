"""Presence leases in Redis: a sorted set per user, a connection's score is the end of its lease."""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from reference_impl.adapters.redis_client import redis_client, redis_errors
from reference_impl.core.ports import PresenceStore


class RedisPresenceStore(PresenceStore):
    """Each step on a user is one MULTI/EXEC: no other instance acts between its parts.

    The key itself expires with its last lease, so users who never come back leave nothing.
    """

    def __init__(self, url: str, *, prefix: str = "", now: Callable[[], float] = time.time) -> None:
        self._redis: Redis = redis_client(url)
        self._prefix = prefix + "ws:online:"
        self._now = now

    async def renew(self, leases: list[tuple[str, str]], lease_s: float) -> list[bool]:
        """One round trip for all of them."""
        now = self._now()
        async with redis_errors("renewing presence"), self._redis.pipeline(transaction=True) as pipe:
            for user_id, connection_id in leases:
                key = self._prefix + user_id
                pipe.zremrangebyscore(key, "-inf", now)
                pipe.zrem(key, connection_id)
                pipe.zcard(key)
                pipe.zadd(key, {connection_id: now + lease_s})
                pipe.pexpire(key, int(lease_s * 1000) + 1000)
            replies = await pipe.execute()
        return [bool(others) for others in replies[2::5]]

    async def release(self, user_id: str, connection_id: str) -> bool:
        """Removes one lease and counts the rest."""
        key = self._prefix + user_id
        async with redis_errors("releasing presence"), self._redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(key, "-inf", self._now())
            pipe.zrem(key, connection_id)
            pipe.zcard(key)
            replies = await pipe.execute()
        return bool(replies[2])

    async def online(self, user_ids: list[str]) -> set[str]:
        """One round trip for all of them; writes nothing."""
        if not user_ids:
            return set()
        now = self._now()
        async with redis_errors("reading presence"), self._redis.pipeline(transaction=False) as pipe:
            for user_id in user_ids:
                pipe.zcount(self._prefix + user_id, f"({now}", "+inf")
            counts = await pipe.execute()
        return {user_id for user_id, count in zip(user_ids, counts, strict=True) if count}

    async def stop(self) -> None:
        """Closes the connection. Idempotent."""
        await self._redis.aclose()
