"""The users of a lab and their conversations, made over HTTP when they are first named."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx2

from course.errors import UserError
from course.workbench.cluster import Cluster


class LabPeople:
    """Signs users in, and brings them together in conversations that people know by a name."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tokens: dict[str, str] = {}
        self._conversations: dict[str, tuple[str, str]] = {}  # name -> its id, and a user who can add others
        self._members: set[tuple[str, str]] = set()
        self._inviting = asyncio.Lock()  # clients that come at once: one makes the conversation, the others join it
        self._https: dict[int, httpx2.AsyncClient] = {}
        self._open = AsyncExitStack()

    async def close(self) -> None:
        """Closes what it speaks over. Idempotent."""
        await self._open.aclose()
        self._https.clear()

    async def token(self, user: str) -> str:
        """An access token of ``user``, who exists from now on."""
        if user not in self._tokens:
            answer = await self._http(self._first_running()).post("/api/v1/auth/token", json={"user_id": user})
            _require_ok(answer)
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    async def ticket(self, token: str, instance: int) -> str:
        """A ticket to open one WebSocket with."""
        answer = await self._http(instance).post("/api/v1/auth/ticket", headers={"Authorization": f"Bearer {token}"})
        _require_ok(answer)
        return str(answer.json()["ticket"])

    async def signed_in(self, user: str, instance: int) -> httpx2.AsyncClient:
        """An HTTP client of ``user``, closed with the others."""
        headers = {"Authorization": f"Bearer {await self.token(user)}"}
        client = httpx2.AsyncClient(base_url=self._cluster.url(instance), headers=headers, trust_env=False)
        return await self._open.enter_async_context(client)

    async def conversation(self, name: str, *users: str) -> str:
        """The id of the conversation called ``name``, with ``users`` in it. Made when it is first named."""
        if not users and name not in self._conversations:
            raise UserError(f"nobody is in the conversation {name!r} yet; name a user")
        async with self._inviting:
            if name not in self._conversations:
                answer = await self._post(users[0], "", {"title": name})
                self._conversations[name] = (answer["id"], users[0])
                self._members.add((name, users[0]))
            conversation_id, member = self._conversations[name]
            for user in users:
                if (name, user) not in self._members:
                    await self._post(member, f"/{conversation_id}/participants", {"user_id": user})
                    self._members.add((name, user))
        return conversation_id

    def names(self) -> dict[str, str]:
        """``conversation_id`` → the name that people know."""
        return {conversation_id: name for name, (conversation_id, _) in self._conversations.items()}

    def with_names(self, text: str) -> str:
        """A text with conversations by their names."""
        for conversation_id, name in self.names().items():
            text = text.replace(conversation_id, name)
        return text

    def _first_running(self) -> int:
        running = [number for number, process in enumerate(self._cluster.instances) if process.is_running]
        if not running:
            raise UserError("no instance is running; restart one first: await lab.restart(0)")
        return running[0]

    def _http(self, instance: int) -> httpx2.AsyncClient:
        if instance not in self._https:
            client = httpx2.AsyncClient(base_url=self._cluster.url(instance), trust_env=False)
            self._https[instance] = client
            self._open.push_async_callback(client.aclose)
        return self._https[instance]

    async def _post(self, user: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self.token(user)}"}
        http = self._http(self._first_running())
        answer = await http.post(f"/api/v1/conversations{path}", json=body, headers=headers)
        _require_ok(answer)
        found: dict[str, Any] = answer.json()
        return found


def _require_ok(answer: httpx2.Response) -> None:
    if answer.is_error:
        error = answer.json().get("error", {})
        raise UserError(f"the server refused: {error.get('message', answer.text)}")
