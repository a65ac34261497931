"""The systems side by side: how each is started, how its clients speak, what it needs."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx2

from benchmarks.member import Entry
from benchmarks.plan import Scenario
from benchmarks.wire import upgrade_request
from course.errors import UserError
from course.workbench.cluster import Cluster
from course.workbench.guarded import GuardedFolder
from course.workbench.lab_settings import lab_settings
from course.workbench.redis_server import RedisServer
from reference_impl.services.authentication_service import AuthenticationService

START_DEADLINE_S = 20.0
PEERS = Path(__file__).resolve().parent / "peers"


class Running(Protocol):
    """A system that serves."""

    pids: list[int]
    redis_url: str

    async def open(self, scenario: Scenario) -> Callable[[int, int], Entry]:
        """Makes the rooms; the answer says how a member, by room and number, connects."""


@dataclass(frozen=True)
class System:
    """``needs`` are Python modules; ``hears_itself``: whether a sender gets its own message, too; ``ack`` is in what
    a sender is answered once its message is safe, None where nobody promises that."""

    key: str
    label: str
    start: Callable[["System", int, str], Any]
    compose: Callable[[str], bytes]
    hears_itself: bool = False
    ack: bytes | None = None
    needs: tuple[str, ...] = ()


# -- ours ----------------------------------------------------------------------------------------------------


class OursRunning:
    """The reference server as `course serve` and `Lab` start it, with every promise on."""

    def __init__(self, cluster: Cluster, http: httpx2.AsyncClient) -> None:
        self._cluster = cluster
        self._http = http
        self.pids = [one.pid for one in cluster.instances if one.pid is not None]
        self.redis_url = cluster.redis.url
        self._tokens = AuthenticationService(secret_key=cluster.settings["SECRET_KEY"], clock=lambda: datetime.now(UTC))
        self._opened = 0

    async def open(self, scenario: Scenario) -> Callable[[int, int], Entry]:
        """Conversations with their members; the first of each sends."""
        self._opened += 1
        rooms = [
            await self.conversation([self._user(room, number) for number in range(scenario.members + 1)])
            for room in range(scenario.rooms)
        ]
        count = len(self._cluster.instances)

        def entry(room: int, number: int) -> Entry:
            return self.entry(self._user(room, number), rooms[room], (room + number) % count)

        return entry

    def entry(self, user: str, conversation: str | None, instance: int) -> Entry:
        """How a device of a user gets in: to one conversation, or, with None, to all that the user is in."""
        headers = {"Sec-WebSocket-Protocol": f"chat.v1, bearer.{self._token(user)}"}
        path = "/ws" if conversation is None else f"/ws/{conversation}"
        request = upgrade_request(f"{path}?device_type=web", headers)
        return Entry(self._cluster.instances[instance].port, request, _until_connected)

    async def conversation(self, users: list[str]) -> str:
        """Makes one with these users; returns its id. Raises ``UserError``."""
        headers = {"Authorization": f"Bearer {self._token(users[0])}"}
        body = {"title": f"of {users[0]}", "participant_ids": users}
        answer = await self._http.post("/api/v1/conversations", json=body, headers=headers)
        if answer.is_error:
            raise UserError(f"the server makes no conversation: {answer.text}", 1)
        return str(answer.json()["id"])

    def _user(self, room: int, number: int) -> str:
        return f"user-{self._opened}-{room}-{number}"

    def _token(self, user: str) -> str:
        return self._tokens.issue_token(user, None, 3600)[0]


@asynccontextmanager
async def ours(instances: int, **settings: object) -> AsyncIterator[OursRunning]:
    """The reference server with these settings over those of a lab, whose limits are in nobody's way."""
    cluster = Cluster(instances, settings=lab_settings(settings), forked=False)  # no memory is shared: it is measured
    await cluster.start()
    try:
        async with httpx2.AsyncClient(base_url=cluster.url(0), timeout=30, trust_env=False) as http:
            yield OursRunning(cluster, http)
    finally:
        await cluster.stop()


def _ours(system: System, instances: int, _python: str) -> AbstractAsyncContextManager[Running]:
    return ours(instances, DIRECT_SOCKETS=system.key == "ours")


def _until_connected(text: bytes) -> tuple[bytes | None, bool]:
    return None, b'"connected"' in text


# -- the others ----------------------------------------------------------------------------------------------


class PeerRunning:
    """Instances of a peer, and their Redis."""

    def __init__(self, system: System, ports: list[int], pids: list[int], redis_url: str) -> None:
        self._system = system
        self._ports = ports
        self.pids = pids
        self.redis_url = redis_url
        self._opened = 0

    async def open(self, scenario: Scenario) -> Callable[[int, int], Entry]:
        """Rooms are made by whoever comes first."""
        self._opened += 1
        opened = self._opened
        speaks_socketio = self._system.key.startswith("socketio")

        def entry(room: int, number: int) -> Entry:
            port = self._ports[(room + number) % len(self._ports)]
            name = f"room-{opened}-{room}"
            if speaks_socketio:
                return Entry(
                    port, upgrade_request("/socket.io/?EIO=4&transport=websocket", {}), _socketio_greeting(name)
                )
            query = f"?user={name}-{number}&members={scenario.members + 1}" if self._system.key == "tutorial" else ""
            return Entry(port, upgrade_request(f"/ws/{name}{query}", {}))

        return entry


@asynccontextmanager
async def _peer(system: System, instances: int, python: str) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer())
        started: list[tuple[GuardedFolder, Path]] = []
        stack.push_async_callback(_end_all, started)
        for number in range(instances):
            log = Path(tempfile.gettempdir(), f"breakwire-bench-{os.getpid()}-{number}.log")
            stack.callback(log.unlink, missing_ok=True)
            guarded = GuardedFolder("breakwire-bench-", _command(system, python, redis.url), log=log)
            started.append((guarded, log))
        said = [await _wait_until_ready(system, guarded, log) for guarded, log in started]
        yield PeerRunning(system, [one["port"] for one in said], [one["pid"] for one in said], redis.url)


async def _end_all(started: list[tuple[GuardedFolder, Path]]) -> None:
    await asyncio.gather(*(asyncio.to_thread(guarded.remove) for guarded, _ in started))


def _command(system: System, python: str, redis_url: str) -> list[str]:
    if system.key == "socketio_node":
        return ["node", str(PEERS / "socketio_node.js"), redis_url, "{folder}/ready"]
    return [python, str(PEERS / "launch.py"), system.key, redis_url, "{folder}/ready"]


async def _wait_until_ready(system: System, guarded: GuardedFolder, log: Path) -> dict[str, int]:
    ready, end = guarded.path / "ready", time.monotonic() + START_DEADLINE_S
    while not ready.exists():
        if time.monotonic() > end or not guarded.is_guarded:
            raise UserError(f"{system.label} does not start: {_last_line(log)}", 1)
        await asyncio.sleep(0.02)
    found: dict[str, int] = json.loads(ready.read_text())
    return found


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def _socketio_greeting(room: str) -> Callable[[bytes], tuple[bytes | None, bool]]:
    """Engine.IO opens with ``0``; then the client asks for the namespace with ``40``, and is answered the same."""

    def greet(text: bytes) -> tuple[bytes | None, bool]:
        if text.startswith(b"0"):
            return b"40" + json.dumps({"room": room}).encode(), False
        return None, text.startswith(b"40")

    return greet


def _plain(text: str) -> bytes:
    return _body(text)


def _socketio(text: str) -> bytes:
    return b'42["chat",' + _body(text) + b"]"


def _body(text: str) -> bytes:
    """The same message for all: 200 bytes of JSON."""
    message_id = text[1:9].rjust(32, "0")
    return json.dumps(
        {"type": "text", "content": text, "client_message_id": message_id}, separators=(",", ":")
    ).encode()


SYSTEMS = (
    System("ours", "Breakwire", _ours, _plain, ack=b'"action":"ack"'),
    System("ours_asgi", "Breakwire, ASGI", _ours, _plain, ack=b'"action":"ack"'),
    System("socketio_redis", "python-socketio", _peer, _socketio, needs=("socketio", "uvicorn", "redis")),
    System("socketio_node", "Socket.IO (Node)", _peer, _socketio),
    System(
        "channels_redis", "Django Channels", _peer, _plain, hears_itself=True,
        needs=("channels", "channels_redis", "django", "uvicorn"),
    ),
    System("fastapi_pubsub", "usual FastAPI", _peer, _plain, hears_itself=True, needs=("fastapi", "uvicorn", "redis")),
    System("tutorial", "the tutorial's", _peer, _plain, needs=("fastapi", "uvicorn", "redis")),
    System("floor", "floor (Python)", _peer, _plain, hears_itself=True, needs=("uvloop", "hiredis")),
)  # fmt: skip
