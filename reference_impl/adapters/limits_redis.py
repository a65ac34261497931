"""Limits over all instances, in Redis. Each decision is one script: nobody comes in between."""

import time
from collections.abc import Callable

from reference_impl.adapters.group_commit import GroupCommit
from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.limit_ports import PARTS_OF_WINDOW, MessageQuota, SlotStore
from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot
from reference_impl.model.rate_limiter import over_quota

# KEYS user's slots, address's slots · ARGV now, end, connection id, most per user, most per address, ttl ms
# → 0 taken, 1 the user has all of theirs, 2 the address has
TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 1 end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then return 2 end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, ARGV[2], ARGV[3])
  redis.call('PEXPIRE', key, ARGV[6])
end
return 0
"""
# KEYS users' and addresses' slots · ARGV end, ttl ms, then for each key how many slots in it, and their connections
RENEW = """
local at = 3
for _, key in ipairs(KEYS) do
  local entries = {}
  for place = at + 1, at + tonumber(ARGV[at]) do
    entries[#entries + 1] = ARGV[1]
    entries[#entries + 1] = ARGV[place]
  end
  redis.call('ZADD', key, unpack(entries))
  redis.call('PEXPIRE', key, ARGV[2])
  at = at + 1 + #entries / 2
end
"""
REFUSED = {0: None, 1: LimitKind.USER, 2: LimitKind.ADDRESS}

# KEYS the counts of those who ask, by part of the window · ARGV part now, parts in a window, most, ttl ms, and for each
# key how many are wanted, and how many of those taken before are given back first: off the newest parts
# → for each key how many are taken; where none is left, how many parts from now on the oldest count is over, negative
TAKE_MESSAGES = """
local now, parts, answers = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for number, key in ipairs(KEYS) do
  local wanted, unused = tonumber(ARGV[3 + 2 * number]), tonumber(ARGV[4 + 2 * number])
  local counts, sum, newest_first, oldest = redis.call('HGETALL', key), 0, {}, now
  for i = 1, #counts, 2 do
    local part = tonumber(counts[i])
    if part <= now - parts then
      redis.call('HDEL', key, counts[i])
    else
      newest_first[#newest_first + 1] = {part = part, count = tonumber(counts[i + 1])}
    end
  end
  table.sort(newest_first, function(a, b) return a.part > b.part end)
  for _, one in ipairs(newest_first) do
    local less = math.min(unused, one.count)
    if less > 0 then
      redis.call('HINCRBY', key, one.part, -less)
      unused = unused - less
    end
    if one.count > less then
      sum = sum + one.count - less
      oldest = one.part
    end
  end
  local taken = math.min(tonumber(ARGV[3]) - sum, wanted)
  if taken > 0 then
    redis.call('HINCRBY', key, ARGV[1], taken)
    redis.call('PEXPIRE', key, ARGV[4])
    answers[number] = taken
  else
    answers[number] = now - oldest - parts
  end
end
return answers
"""

LARGEST_GROUP = 200
"""Users or connections in one script: Redis does nothing else meanwhile."""


class RedisSlotStore(SlotStore):
    """Two sorted sets hold each slot, the user's and the address's; a slot's score is the end of its lease.

    The braces put all of them into one slot of a cluster, since one script decides on both; a connection costs that
    node a command when it comes, one when it goes, and its share of a script every third of a lease. Times are the
    instances' clocks, which agree to within a second or so.
    """

    def __init__(self, link: RedisLink, *, prefix: str = "", now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._prefix = prefix + "{ws:slots}"
        self._now = now

    async def take(self, slot: Slot, limits: ConnectionLimits, lease_s: float) -> LimitKind | None:
        """One script."""
        now = self._now()
        arguments: list[str | float] = [now, now + lease_s, slot.connection_id, limits.per_user, limits.per_address]
        arguments.append(_ttl_ms(lease_s))
        async with self._link.commands("taking a connection slot") as redis:
            answer = await redis.eval(TAKE, 2, *self._keys(slot), *arguments)
        return REFUSED[int(answer)]

    async def renew(self, slots: list[Slot], lease_s: float) -> None:
        """A script for so many at a time: one command a slot would be most of what an idle connection costs."""
        end = self._now() + lease_s
        async with self._link.commands("renewing slots") as redis:
            for start in range(0, len(slots), LARGEST_GROUP):
                connections: dict[str, list[str]] = {}
                for slot in slots[start : start + LARGEST_GROUP]:
                    for key in self._keys(slot):
                        connections.setdefault(key, []).append(slot.connection_id)
                entries: list[str | int] = []
                for ids in connections.values():
                    entries += [len(ids), *ids]
                await redis.eval(RENEW, len(connections), *connections, end, _ttl_ms(lease_s), *entries)

    async def release(self, slot: Slot) -> None:
        """One round trip."""
        async with self._link.commands("releasing a slot") as redis, redis.pipeline(transaction=False) as pipe:
            for key in self._keys(slot):
                pipe.zrem(key, slot.connection_id)
            await pipe.execute()

    async def stop(self) -> None:
        """Closes the link. Idempotent."""
        await self._link.stop()

    def _keys(self, slot: Slot) -> tuple[str, str]:
        return f"{self._prefix}:user:{slot.user_id}", f"{self._prefix}:ip:{slot.address}"


class RedisMessageQuota(MessageQuota):
    """A hash per user counts messages by part of the window: bounded, however many messages are allowed.

    Messages that come at the same moment, whoever sends them, are decided by one command. For that the braces put
    all counts into one slot of a cluster. The time is the instance's.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        max_messages: int,
        window_s: float,
        prefix: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._max_messages = max_messages
        self._window_s = window_s
        self._prefix = prefix + "{ws:quota}:"
        self._now = now
        self._asking: GroupCommit[tuple[str, int, int], float] = GroupCommit(self._ask, largest=LARGEST_GROUP)

    async def take(self, user_id: str, wanted: int, unused: int = 0) -> int:
        """Together with the others that ask at this moment."""
        taken = await self._asking.submit((user_id, wanted, unused))
        if taken <= 0:
            raise over_quota(self._max_messages, self._window_s, -taken)
        return int(taken)

    async def give_back(self, user_id: str, count: int) -> None:
        """The same, with nothing wanted."""
        await self._asking.submit((user_id, 0, count))

    async def stop(self) -> None:
        """Closes the link. Idempotent."""
        await self._asking.stop()
        await self._link.stop()

    async def _ask(self, take: Callable[[], list[tuple[str, int, int]]]) -> list[float | Exception]:
        """How many each gets; or, negative, in how many seconds there is one."""
        wishes = take()
        part_s = self._window_s / PARTS_OF_WINDOW
        part, into_part = divmod(self._now(), part_s)
        keys = [self._prefix + user_id for user_id, _, _ in wishes]
        arguments = [int(part), PARTS_OF_WINDOW + 1, self._max_messages, _ttl_ms(self._window_s + part_s)]
        for _, wanted, unused in wishes:
            arguments += [wanted, unused]
        async with self._link.commands("counting messages") as redis:
            answers = map(int, await redis.eval(TAKE_MESSAGES, len(keys), *keys, *arguments))
        return [float(answer) if answer > 0 else answer * part_s + into_part for answer in answers]


def _ttl_ms(seconds: float) -> int:
    return int(seconds * 1000) + 1000
