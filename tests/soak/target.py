"""Two instances that count what they hold, and the Redis between them."""

from pathlib import Path
from typing import Any, Self

import httpx2
from redis.asyncio import Redis

from course.workbench.cluster import Cluster
from course.workbench.lab_settings import lab_settings
from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.core.event_bus import EventBus
from reference_impl.services.audit_log import AuditLog
from tests.chaos.target import ReferenceTarget
from tests.soak.inventory import Inventory, count, counting_parts

SETTINGS = {
    "PRESENCE_LEASE_S": 0.5,
    "RATE_LIMIT_WINDOW_S": 0.5,
    "HEARTBEAT_INTERVAL_S": 0.2,
    "HEARTBEAT_TIMEOUT_S": 8,
}
"""All that is kept for a while is kept for a second or two: at the end of a day of this size it must be gone."""


NEVER, GONE = -1, -2
"""What Redis says of a key that has no end, and of one that is not there any more."""


class FewPushes(ConsolePushProvider):
    """Keeps the last few only, so that it is full after the first cycle."""

    def __init__(self) -> None:
        super().__init__(keep=10)


class ShortLog(AuditLog):
    """The same."""

    def __init__(self, *, event_bus: EventBus) -> None:
        super().__init__(event_bus=event_bus, keep=10)


SHORT_MEMORIES = {"push_provider": FewPushes, "audit_log": ShortLog}


class SoakTarget(ReferenceTarget):
    """The reference server under a crowd."""

    def __init__(
        self,
        *,
        settings: dict[str, Any] | None = None,
        overrides: dict[str, Any] | None = None,
        database_url: str | None = None,
    ) -> None:
        self._settings = SETTINGS | (settings or {})
        self._overrides = overrides or {}
        self._tokens: dict[str, str] = {}
        super().__init__(instances=2, database_url=database_url)

    def _make_cluster(self, instances: int, graveyard: Path, database_url: str | None) -> Cluster:
        self._folder = graveyard
        parts = counting_parts(str(graveyard)) | SHORT_MEMORIES | self._overrides
        settings = lab_settings(self._settings)
        return Cluster(instances, settings=settings, overrides=parts, database_url=database_url)

    async def token(self, user: str) -> str:
        """One for each user."""
        if user not in self._tokens:
            self._tokens[user] = await super().token(user)
        return self._tokens[user]

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        leave = {"Connection": "close"}  # or idle connections would be left, and taken for a leak
        self._client = httpx2.AsyncClient(base_url=self.cluster.url(0), headers=leave, trust_env=False, timeout=10)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()
        await super().__aexit__(*error)

    async def _http(self, method: str, path: str, user: str | None, **request: Any) -> Any:
        headers = {} if user is None else {"Authorization": f"Bearer {await self.token(user)}"}
        answer = await self._client.request(method, f"/api/v1{path}", headers=headers, **request)
        answer.raise_for_status()
        return answer.json()

    async def ticket(self, user: str) -> str:
        """For one socket on any instance."""
        return str((await self._http("POST", "/auth/ticket", user))["ticket"])

    def forget_people(self) -> None:
        """They are strangers again: their tokens are not needed any more."""
        self._tokens.clear()

    async def counts(self, instance: int) -> Inventory:
        """What an instance holds now."""
        return await count(self.cluster.instance(instance), self._folder)

    async def redis_keys(self) -> dict[str, float | None]:
        """Each key and in how many seconds it ends; None if it never does."""
        async with Redis.from_url(self.cluster.redis.url, decode_responses=True) as redis:
            names = [name async for name in redis.scan_iter(count=1000)]
            async with redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.pttl(name)
                ends = await pipe.execute()
        return {
            name: None if end == NEVER else end / 1000 for name, end in zip(names, ends, strict=True) if end != GONE
        }

    async def redis_channels(self) -> list[str]:
        """Those that an instance listens to."""
        async with Redis.from_url(self.cluster.redis.url, decode_responses=True) as redis:
            return sorted(map(str, await redis.pubsub_channels()))
