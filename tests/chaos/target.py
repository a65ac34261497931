"""The systems that a chaos run can break: the reference server, and the control."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from course.workbench.cluster import Cluster
from course.workbench.guarded import GuardedFolder
from course.workbench.lab_redis import LabRedis
from course.workbench.lab_settings import lab_settings
from tests.chaos.kill_points import mortal_parts
from tests.chaos.ledger import Ledger
from tests.chaos.plain_server import make_app

HEARTBEAT = {"HEARTBEAT_INTERVAL_S": 1, "HEARTBEAT_TIMEOUT_S": 5}
PAGE = 200


class Target:
    """N instances with breakable links, and what a run asks of any system."""

    def __init__(self, instances: int, *, database_url: str | None = None) -> None:
        self._graveyard = GuardedFolder("breakwire-chaos-")
        self.cluster = self._make_cluster(instances, self._graveyard.path, database_url)

    def _make_cluster(self, instances: int, graveyard: Path, database_url: str | None) -> Cluster:
        raise NotImplementedError

    @property
    def redis(self) -> LabRedis:
        """What can be done to its Redis."""
        return LabRedis(self.cluster.redis, self.cluster.links)

    def addresses(self) -> list[str]:
        """The WebSocket base of each instance, dead or alive: a client finds out by trying."""
        return [self.cluster.url(number).replace("http", "ws", 1) for number in range(len(self.cluster.instances))]

    async def open_conversations(self, members: dict[str, list[str]]) -> dict[str, str]:
        """Makes a conversation per title, with these users in it; returns title → id."""
        return {title: title for title in members}

    async def token(self, user: str) -> str:
        """What signs ``user`` in."""
        return user

    async def read_history(self, ledger: Ledger, conversation_ids: list[str]) -> None:
        """Writes what the store has into the ledger, if there is a store."""

    async def __aenter__(self) -> Self:
        await self.cluster.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cluster.stop()
        await asyncio.to_thread(self._graveyard.remove)


class ReferenceTarget(Target):
    """The reference server."""

    def _make_cluster(self, instances: int, graveyard: Path, database_url: str | None) -> Cluster:
        settings = lab_settings(dict(HEARTBEAT))
        overrides = mortal_parts(str(graveyard))
        return Cluster(instances, settings=settings, overrides=overrides, database_url=database_url, breakable=True)

    async def open_conversations(self, members: dict[str, list[str]]) -> dict[str, str]:
        """Each is made by its first member."""
        opened = {}
        for title, users in members.items():
            body = {"title": title, "participant_ids": users}
            opened[title] = (await self._http("POST", "/conversations", users[0], json=body))["id"]
        self._members = {opened[title]: users[0] for title, users in members.items()}
        return opened

    async def token(self, user: str) -> str:
        """From the demo sign-in."""
        answer = await self._http("POST", "/auth/token", None, json={"user_id": user})
        return str(answer["access_token"])

    async def read_history(self, ledger: Ledger, conversation_ids: list[str]) -> None:
        """Page by page, from the first message."""
        for conversation_id in conversation_ids:
            messages: list[tuple[str, int]] = []
            while page := await self._page(conversation_id, len(messages)):
                messages += [(one["client_message_id"], one["seq"]) for one in page]
            ledger.history[conversation_id] = messages

    async def _page(self, conversation_id: str, after: int) -> list[dict[str, Any]]:
        path = f"/conversations/{conversation_id}/messages"
        found: list[dict[str, Any]] = await self._http(
            "GET", path, self._members[conversation_id], params={"after_seq": after, "limit": PAGE}
        )
        return found

    async def _http(self, method: str, path: str, user: str | None, **request: Any) -> Any:
        headers = {} if user is None else {"Authorization": f"Bearer {await self.token(user)}"}
        async with httpx2.AsyncClient(base_url=self.cluster.url(0), trust_env=False, timeout=10) as http:
            answer = await http.request(method, f"/api/v1{path}", headers=headers, **request)
            answer.raise_for_status()
            return answer.json()


class PlainTarget(Target):
    """The control: pub/sub, and nothing else."""

    def _make_cluster(self, instances: int, graveyard: Path, database_url: str | None) -> Cluster:
        return Cluster(instances, settings={"GRAVEYARD": graveyard}, make_app=make_app, breakable=True)
