"""Servers, their members, and a Redis that counts and fails as told, for the cases of exercise 8."""

import asyncio
from collections import deque
from typing import Any

from course.checks.case import outcome_of, plain

CHANNEL = "conversation:"


class Server:
    """One server: who is connected to it, and what has reached them. ``members`` and ``send`` of its broadcaster."""

    def __init__(self, network: "Network") -> None:
        self.users: dict[str, list[str]] = {}  # conversation -> those who are connected here
        self.got: list[list[Any]] = []  # user, message
        self.broadcaster: Any = None
        self._network = network

    async def of(self, conversation_id: str) -> list[str]:
        """All members, on whatever servers."""
        await asyncio.sleep(0)
        everybody = [server.users.get(conversation_id, []) for server in self._network.servers]
        return sorted({user for users in everybody for user in users})

    async def here(self, conversation_id: str, after: str | None, limit: int) -> list[str]:
        """A page of those who are connected here."""
        await asyncio.sleep(0)
        users = sorted(self.users.get(conversation_id, []))
        return [user for user in users if after is None or user > after][:limit]

    async def send(self, user_id: str, message: Any) -> None:
        """To the sockets of a user who is connected here; does nothing for anybody else."""
        await asyncio.sleep(0)
        if any(user_id in users for users in self.users.values()):
            self.got.append([user_id, plain(message)])


class Network:
    """The servers, and the Redis between them.

    What becomes of the next commands is in ``fates``: ``ok``; ``lost``: it raises and nobody got the text;
    ``answer lost``: it raises, and all have got the text; ``on its way``: it raises, and all are just getting it.
    """

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.channels: list[Any] = []
        self.texts: list[tuple[Any, Any]] = []  # channel, text: those that have arrived
        self.fates: deque[str] = deque()
        self._arriving: list[asyncio.Task[list[Any]]] = []

    async def publish(self, channel: str, text: Any) -> int:
        """One command: the servers with members in the conversation get the text."""
        self.channels.append(channel)
        fate = self.fates.popleft() if self.fates else "ok"
        await asyncio.sleep(0)
        if fate == "lost":
            raise ConnectionError("the connection to Redis broke")
        self.texts.append((channel, text))
        started = self.arrive(channel, text)
        if fate == "answer lost":
            await asyncio.wait(started) if started else None
        if fate != "ok":
            raise ConnectionError("the connection to Redis broke, and the answer did not come")
        return len(started)

    def arrive(self, channel: str, text: Any) -> list[asyncio.Task[list[Any]]]:
        """The text reaches every server that listens to the channel."""
        started = [
            asyncio.create_task(outcome_of(server.broadcaster.receive(text)))
            for server in self.servers
            if any(channel == CHANNEL + name for name in server.users)
        ]
        self._arriving += started
        return started

    async def arrived(self) -> list[list[Any]]:
        """Waits for whatever is on its way; what the receivers raised."""
        outcomes = list(await asyncio.gather(*self._arriving))
        self._arriving = []
        return [outcome for outcome in outcomes if outcome[0] == "raised"]


def held(broadcaster: Any, given: list[Any]) -> int:
    """How many elements the collections in a broadcaster have; those in what it was ``given`` do not count."""
    seen = {id(one) for one in given}
    waiting: list[Any] = [vars(broadcaster), *(v for k, v in vars(type(broadcaster)).items() if not k.startswith("__"))]
    count = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset, deque)):
            waiting += one
        elif type(one).__module__ == type(broadcaster).__module__ and hasattr(one, "__dict__"):
            one = vars(one)
            waiting += one.values()
        else:
            continue
        count += len(one)
    return count
