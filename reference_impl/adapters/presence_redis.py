"""Presence leases in Redis: sorted sets, in which a lease's score is the moment of its end."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain

import msgspec
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.ports import PresenceStore
from reference_impl.model.presence import EndedLease, Lease, TakenLease

logger = logging.getLogger(__name__)

PAGE = 200
"""Leases renewed at a time, and ended ones taken."""

MOST_TRIES = 5
"""Ended leases are taken only if no lease changes meanwhile: otherwise the look begins anew, so often at most."""

RENEW = """
local users, first = #KEYS - 1, #KEYS + 3
local known, taken, ends = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, first)), {}, {}
local place = first
for user = 1, users do
    local key, last = KEYS[1 + user], place + ARGV[3 + user] - 1
    for lease = place, last do
        if not known[lease - first + 1] then
            taken[#taken + 1] = {ARGV[lease], redis.call('ZRANGEBYSCORE', key, ARGV[1], '+inf')}
        end
        redis.call('ZADD', key, ARGV[2], ARGV[lease])
        ends[#ends + 1] = ARGV[2]
        ends[#ends + 1] = ARGV[lease]
    end
    redis.call('PEXPIRE', key, ARGV[3])
    place = last + 1
end
redis.call('ZADD', KEYS[1], unpack(ends))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return taken
"""
"""KEYS: all leases, then each user's. ARGV: after now, the new end, a ttl in ms, how many leases of each user, and all
of these leases. Returns those that were not there, each with the user's other live ones.
"""

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

    Both are changed in one script or MULTI/EXEC, so no other instance ever sees them disagree. Each key expires with
    its last lease: users who never come back leave nothing. The braces put all keys into one slot of a
    cluster, since a transaction can not span two.
    """

    def __init__(self, link: RedisLink, *, prefix: str = "", now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._all = prefix + "{ws:online_users}"
        self._now = now

    async def renew(self, leases: list[Lease], lease_s: float) -> list[TakenLease]:
        """One script for so many at a time."""
        taken: list[TakenLease] = []
        async with self._link.commands("renewing presence") as redis:
            for start in range(0, len(leases), PAGE):
                users: dict[str, list[bytes]] = {}
                for lease in leases[start : start + PAGE]:
                    users.setdefault(self._key(lease.user_id), []).append(_encode(lease))
                now = self._now()
                times = (f"({now}", now + lease_s, int(lease_s * 1000) + 1000)
                members = chain.from_iterable(users.values())
                keys = (self._all, *users)
                new = await redis.eval(RENEW, len(keys), *keys, *times, *map(len, users.values()), *members)
                taken += [TakenLease(_decode(member), [*map(_decode, others)]) for member, others in new]
        return taken

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
                for _ in range(MOST_TRIES):
                    with suppress(WatchError):  # somebody renewed or let go a lease between our look and our taking
                        return await self._take_ended(pipe)
        return []  # they are busy; the next look finds what has ended

    async def _take_ended(self, pipe: Pipeline) -> list[EndedLease]:
        await pipe.watch(self._all)
        now = self._now()
        members: list[bytes] = await pipe.zrangebyscore(self._all, "-inf", now, start=0, num=PAGE)  # type: ignore[assignment]
        leases = [_decode(member) for member in members]
        pipe.multi()  # type: ignore[no-untyped-call]
        for member, lease in zip(members, leases, strict=True):
            key = self._key(lease.user_id)
            pipe.zrem(self._all, member)
            pipe.zrem(key, member)
            pipe.zrangebyscore(key, f"({now}", "+inf")
        replies = await pipe.execute()
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
