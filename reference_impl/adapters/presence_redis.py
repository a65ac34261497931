"""Presence leases in Redis: sorted sets, in which a lease's score is the moment of its end."""

import logging
import time
from collections.abc import Callable

import msgspec
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.ports import PresenceStore
from reference_impl.model.presence import EndedLease, Lease, TakenLease

logger = logging.getLogger(__name__)

PAGE = 200
"""Ended leases taken at a time."""

AT_ONCE = 500
"""Users asked for in one command: Redis does nothing else meanwhile."""

LIVE = """
local live = {}
for number, key in ipairs(KEYS) do
    live[number] = redis.call('ZRANGEBYSCORE', key, ARGV[1], '+inf')
end
return live
"""
"""The members of each set whose end is later than ARGV[1]."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Lease).decode


class RedisPresenceStore(PresenceStore):
    """Two sets hold each lease: ``ws:online_users`` all of them, to find what has ended;
    ``ws:online_users:<user>`` the user's own, to know who is there.

    Both are changed in one MULTI/EXEC, so no other instance ever sees them disagree. Each key expires with
    its last lease: users who never come back leave nothing. The braces put all keys into one slot of a
    cluster, since a transaction can not span two.
    """

    def __init__(self, link: RedisLink, *, prefix: str = "", now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._all = prefix + "{ws:online_users}"
        self._now = now

    async def renew(self, leases: list[Lease], lease_s: float) -> list[TakenLease]:
        """One round trip for all of them."""
        now = self._now()
        ttl_ms = int(lease_s * 1000) + 1000
        async with self._link.commands("renewing presence") as redis, redis.pipeline(transaction=True) as pipe:
            for lease in leases:
                member, key = _encode(lease), self._key(lease.user_id)
                pipe.zrangebyscore(key, f"({now}", "+inf")
                pipe.zadd(key, {member: now + lease_s})
                pipe.pexpire(key, ttl_ms)
                pipe.zadd(self._all, {member: now + lease_s})
                pipe.pexpire(self._all, ttl_ms)
            replies = await pipe.execute()
        answers = zip(leases, replies[0::5], replies[1::5], strict=True)
        return [TakenLease(lease, _others(lease, live)) for lease, live, added in answers if added]

    async def release(self, lease: Lease, linger_s: float, *, is_lost: bool = False) -> None:
        """Moves the end nearer. A lease that has ended stays ended. A third set, short-lived, holds the lost ones."""
        member, lost_key = _encode(lease), self._key(lease.user_id) + ":lost"
        async with self._link.commands("releasing presence") as redis:
            lost: list[bytes] = []
            if not is_lost and lease.device_id is not None:
                lost = await redis.zrange(lost_key, 0, -1)  # type: ignore[assignment]
            ending = [member, *(other for other in lost if _decode(other).is_same_device(lease))]
            ends = dict.fromkeys(ending, self._now() + linger_s)
            async with redis.pipeline(transaction=True) as pipe:
                pipe.zadd(self._key(lease.user_id), ends, xx=True, lt=True)
                pipe.zadd(self._all, ends, xx=True, lt=True)
                if is_lost:
                    pipe.zadd(lost_key, ends)
                    pipe.pexpire(lost_key, int(linger_s * 1000) + 1000)
                await pipe.execute()

    async def expire(self) -> list[EndedLease]:
        """Looks first: usually there is nothing to take, and that costs one command."""
        async with self._link.commands("expiring presence") as redis:
            if not await redis.zrangebyscore(self._all, "-inf", self._now(), start=0, num=1):
                return []
            async with redis.pipeline(transaction=True) as pipe:
                return await self._take_ended(pipe)

    async def _take_ended(self, pipe: Pipeline) -> list[EndedLease]:
        await pipe.watch(self._all)  # who renews a lease between our look and our taking makes us start again
        now = self._now()
        members: list[bytes] = await pipe.zrangebyscore(self._all, "-inf", now, start=0, num=PAGE)  # type: ignore[assignment]
        leases = [_decode(member) for member in members]
        pipe.multi()  # type: ignore[no-untyped-call]
        for member, lease in zip(members, leases, strict=True):
            key = self._key(lease.user_id)
            pipe.zrem(self._all, member)
            pipe.zrem(key, member)
            pipe.zrangebyscore(key, f"({now}", "+inf")
        try:
            replies = await pipe.execute()
        except WatchError:
            return []  # it is looked at again in a moment
        reports = zip(leases, replies[0::3], replies[2::3], strict=True)
        return [EndedLease(lease, [_decode(member) for member in live]) for lease, removed, live in reports if removed]

    async def holds(self, lease: Lease) -> bool:
        """One command."""
        async with self._link.commands("looking for a lease") as redis:
            return await redis.zscore(self._all, _encode(lease)) is not None

    async def online(self, user_ids: list[str]) -> set[str]:
        """Who has a live lease."""
        return {user_id for user_id, live in (await self._live(user_ids)).items() if live}

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        """The live ones of each."""
        return {user_id: [*map(_decode, live)] for user_id, live in (await self._live(user_ids)).items() if live}

    async def _live(self, user_ids: list[str]) -> dict[str, list[bytes]]:
        """One command for many users: one each would be most of what a push decision costs. Writes nothing."""
        found: dict[str, list[bytes]] = {}
        async with self._link.commands("reading presence") as redis:
            for number in range(0, len(user_ids), AT_ONCE):
                some = user_ids[number : number + AT_ONCE]
                live = await redis.eval(LIVE, len(some), *map(self._key, some), f"({self._now()}")
                found |= zip(some, live, strict=True)
        return found

    async def stop(self) -> None:
        """Closes the link. Idempotent."""
        await self._link.stop()

    def _key(self, user_id: str) -> str:
        return f"{self._all}:{user_id}"


def _others(lease: Lease, live: list[bytes]) -> list[Lease]:
    return [other for other in map(_decode, live) if other != lease]
