"""The board in Redis: one hash, a field an instance."""

import time
from collections.abc import Callable

from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.board_ports import Board


class RedisBoard(Board):
    """Each field begins with the time of its end: Redis lets whole keys expire, and older servers no single fields.

    The key expires with the last note: a system that is gone leaves nothing. Times are the instances' clocks, which
    agree to within a second or so.
    """

    def __init__(self, link: RedisLink, *, prefix: str = "", now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._key = prefix + "ws:board"
        self._now = now

    async def post(self, name: str, note: bytes, ttl_s: float) -> dict[str, bytes]:
        """One round trip, and one more when somebody's time is over."""
        now = self._now()
        async with self._link.commands("posting on the board") as redis:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.hset(self._key, name, b"%.3f " % (now + ttl_s) + note)
                pipe.pexpire(self._key, int(ttl_s * 1000))
                pipe.hgetall(self._key)
                fields: dict[bytes, bytes] = (await pipe.execute())[2]
            notes = {field.decode(): kept.partition(b" ") for field, kept in fields.items()}
            over = [field for field, (end, _, _) in notes.items() if float(end) <= now]
            if over:
                await redis.hdel(self._key, *over)
        return {field: text for field, (_, _, text) in notes.items() if field not in over}

    async def remove(self, name: str) -> None:
        """One HDEL; the last one takes the key along."""
        async with self._link.commands("leaving the board") as redis:
            await redis.hdel(self._key, name)

    async def stop(self) -> None:
        """Closes the link. Idempotent."""
        await self._link.stop()
