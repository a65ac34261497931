"""Exercise 6 in the real server: a learner's router in two instances, over a real Redis that is restarted.

A case is a list of steps:

- ``["connects", user, instance]``
- ``["types until", user, [other, …]]``: she types, again and again, until all of these have seen it
- ``["redis_restarts"]``: it is killed and started again

That somebody types is stored nowhere: it reaches the others by the router or not at all. An observation has one entry
a step; for ``types until`` how often she typed, and how often each of the others saw it. It ends where waiting was
in vain.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from course.checks.case import Case, Observation, within
from course.workbench.client import LabClient
from course.workbench.lab import Lab
from reference_impl.core.ports import Broker, MessageHandler
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import Health, HealthState
from reference_impl.settings import Settings

TYPE_EVERY_S = 0.3
PATIENCE_S = 5.0
PAUSE_S = 0.2


class RealLink:
    """The exercise's link: one subscribed connection to Redis, which does not come back by itself."""

    def __init__(self, pubsub: PubSub, prefix: str) -> None:
        self._pubsub = pubsub
        self._prefix = prefix

    async def subscribe(self, channel: str) -> None:
        """From now on."""
        async with _as_connection_error():
            await self._pubsub.subscribe(self._prefix + channel)

    async def unsubscribe(self, channel: str) -> None:
        """No more."""
        async with _as_connection_error():
            await self._pubsub.unsubscribe(self._prefix + channel)

    async def next(self) -> tuple[str, str]:
        """Channel and text of what comes next."""
        async with _as_connection_error():
            async for item in self._pubsub.listen():
                if item["type"] == "message":
                    return item["channel"].removeprefix(self._prefix), item["data"]
        raise ConnectionError("the link has broken")


class RealBroker:
    """The exercise's broker over a real Redis. ``on_opened`` is told of each new link."""

    def __init__(self, url: str, prefix: str, on_opened: Callable[[], None]) -> None:
        self._redis = Redis.from_url(url, decode_responses=True, socket_timeout=None, retry=Retry(NoBackoff(), 0))
        self._prefix = prefix
        self._on_opened = on_opened

    async def publish(self, channel: str, text: str) -> None:
        """One PUBLISH."""
        async with _as_connection_error():
            await self._redis.publish(self._prefix + channel, text)

    async def open(self) -> RealLink:
        """A link that is known to work."""
        pubsub = self._redis.pubsub()
        async with _as_connection_error():
            await pubsub.subscribe(self._prefix + "exercise-6")
        self._on_opened()
        return RealLink(pubsub, self._prefix)

    async def aclose(self) -> None:
        """Ends all connections."""
        await self._redis.aclose()


@asynccontextmanager
async def _as_connection_error() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise ConnectionError(str(error)) from error


class PluggedIn(Broker):
    """The server's part ``broker``: all that instances say to each other goes by a learner's router.

    A channel of the server is a conversation of the router, with one connection in it: the server itself.
    """

    def __init__(self, subject: Any) -> None:
        settings = Settings()
        self._broker = RealBroker(str(settings.redis_url), settings.redis_prefix, self._opened)
        self._theirs = subject(self._broker, deliver=self._deliver, pause=lambda: asyncio.sleep(PAUSE_S))
        self._links = 0
        self._on_message: MessageHandler | None = None
        self._on_gap: Callable[[], None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        """Theirs listens."""
        self._on_message, self._on_gap = on_message, on_gap
        self._listening = asyncio.create_task(self._theirs.listen())

    async def publish(self, channel: str, payload: bytes) -> int:
        """Theirs sends."""
        try:
            await self._theirs.send(channel, payload.decode("latin-1"))
        except ConnectionError as error:
            raise Unavailable(str(error)) from error
        return 1

    async def subscribe(self, channel: str) -> bool:
        """The server joins."""
        await self._theirs.join(channel, channel)
        return True

    async def unsubscribe(self, channel: str) -> None:
        """The server leaves."""
        await self._theirs.leave(channel, channel)

    @property
    def is_live(self) -> bool:
        """Nobody asks theirs: a listener that died quietly says that it is well, too."""
        return True

    def health(self) -> Health:
        """Well."""
        return Health("broker", HealthState.OK)

    async def stop(self) -> None:
        """Ends the listener."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening], timeout=1)
        await self._broker.aclose()

    async def _deliver(self, channel: str, text: str) -> None:
        if self._on_message is not None:
            self._on_message(channel, text.encode("latin-1"))

    def _opened(self) -> None:
        self._links += 1
        if self._links > 1 and self._on_gap is not None:
            self._on_gap()


@within(30)
async def drive_server(subject: Any, case: Case) -> Observation:
    """Starts two servers with the learner's router and takes the steps."""

    def make_broker() -> PluggedIn:
        return PluggedIn(subject)

    async with Lab(instances=2, overrides={"broker": make_broker}, traced=False) as lab:
        clients: dict[str, LabClient] = {}
        seen: Observation = []
        for step in case:
            match step:
                case ["connects", user, instance]:
                    clients[user] = await lab.client(user, instance=instance)
                    seen.append("done")
                case ["redis_restarts"]:
                    await lab.redis.restart()
                    seen.append("done")
                case ["types until", user, others]:
                    seen.append(await _type_until(clients[user], {name: clients[name] for name in others}))
                    if not all(seen[-1][1].values()):
                        break
        return seen


async def _type_until(typist: LabClient, others: dict[str, LabClient]) -> list[Any]:
    """How often she typed, and how often each saw it since."""
    before = {name: len(client.received("typing")) for name, client in others.items()}

    def seen() -> dict[str, int]:
        return {name: len(client.received("typing")) - before[name] for name, client in others.items()}

    typed, end = 0, time.monotonic() + PATIENCE_S
    while not all(seen().values()) and time.monotonic() < end:
        with contextlib.suppress(OSError):
            await typist.send_frame({"type": "typing", "is_typing": True})
        typed += 1
        await asyncio.sleep(TYPE_EVERY_S)
    return [typed, seen()]
