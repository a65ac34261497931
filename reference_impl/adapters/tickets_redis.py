"""Single-use tickets in Redis: issued by one instance, redeemed at another."""

import hashlib

from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.ports import TicketStore


class RedisTicketStore(TicketStore):
    """Keeps the identity under a hash of the ticket: who can read Redis can not sign in with what is there."""

    def __init__(self, link: RedisLink, *, prefix: str = "") -> None:
        self._link = link
        self._prefix = prefix + "ws:ticket:"

    async def put(self, ticket: str, identity: bytes, ttl_s: float) -> None:
        """SET with an expiry."""
        async with self._link.commands("issuing a ticket") as redis:
            await redis.set(self._key(ticket), identity, px=int(ttl_s * 1000))

    async def take(self, ticket: str) -> bytes | None:
        """GETDEL: of two who come with the same ticket, one gets in."""
        async with self._link.commands("redeeming a ticket") as redis:
            taken = await redis.getdel(self._key(ticket))
        return taken if isinstance(taken, bytes) else None

    async def stop(self) -> None:
        """Closes the link. Idempotent."""
        await self._link.stop()

    def _key(self, ticket: str) -> str:
        return self._prefix + hashlib.sha256(ticket.encode()).hexdigest()
