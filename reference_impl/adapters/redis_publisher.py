"""Publishing to one Redis server."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from reference_impl.adapters.redis_wire import RedisWire


class RedisPublisher:
    """Keeps a wire from the first command on, and makes a new one for the first command after it was lost."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._wire: RedisWire | None = None

    def ask(self, *command: str | bytes) -> asyncio.Future[Any]:
        """Sends a command, behind those sent before. The future has its answer; or raises as ``RedisWire.ask``."""
        if self._wire is None or self._wire.lost.done():
            self._wire = RedisWire(self._client)
        return self._wire.ask(*command)

    async def stop(self) -> None:
        """Ends the connection. Idempotent."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
