"""Single-use tickets in Redis: issued by one instance, redeemed at another."""

import hashlib

from redis.asyncio import Redis

from reference_impl.adapters.redis_client import redis_client, redis_errors
from reference_impl.core.ports import TicketStore


class RedisTicketStore(TicketStore):
    """Keeps the identity under a hash of the ticket: who can read Redis can not sign in with what is there."""

    def __init__(self, url: str, *, prefix: str = "") -> None:
        self._redis: Redis = redis_client(url)
        self._prefix = prefix + "ws:ticket:"

    async def put(self, ticket: str, identity: bytes, ttl_s: float) -> None:
        """SET with an expiry."""
        async with redis_errors("issuing a ticket"):
            await self._redis.set(self._key(ticket), identity, px=int(ttl_s * 1000))

    async def take(self, ticket: str) -> bytes | None:
        """GETDEL: of two who come with the same ticket, one gets in."""
        async with redis_errors("redeeming a ticket"):
            taken = await self._redis.getdel(self._key(ticket))
        return taken if isinstance(taken, bytes) else None

    async def stop(self) -> None:
        """Closes the connection. Idempotent."""
        await self._redis.aclose()

    def _key(self, ticket: str) -> str:
        return self._prefix + hashlib.sha256(ticket.encode()).hexdigest()
