"""One subscribed connection to one Redis server, kept up by a supervisor."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

SUBSCRIBE_DEADLINE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between attempts to reconnect: doubled each time, with jitter, so that instances do not come back in step."""

PING_S, SILENCE_S = 1.0, 3.0
"""How often we ask for a sign of life, and how long we wait for one. A frozen link looks like a quiet one."""

TakeMessage = Callable[[str, bytes], None]


class RedisListener:
    """Listens to any number of channels over one connection.

    When the link breaks, or is silent though it was asked for a sign of life, it connects again, subscribes to all
    that is wanted, and only then reports the gap. The client's own silent reconnecting is off, because what was
    published meanwhile is lost and somebody must know.

    ``make_client`` gives a client for the one server. ``own_channel`` keeps the link subscribed, so that listening
    works before any other channel, and after the last. ``sharded`` uses SSUBSCRIBE, which a cluster has beside
    SUBSCRIBE. ``on_lost`` is called when the link breaks, or when the server takes a channel away from it.
    """

    def __init__(
        self,
        make_client: Callable[[], Redis],
        *,
        own_channel: str,
        on_message: TakeMessage,
        on_gap: Callable[[], None],
        on_lost: Callable[[], None] = lambda: None,
        sharded: bool = False,
        name: str = "redis listener",
    ) -> None:
        self.reconnects = 0
        """How often it had to come back, since the start."""
        self._make_client = make_client
        self._own_channel = own_channel
        self._on_message = on_message
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._sharded = sharded
        self._name = name
        self._is_down = False  # known to be; before the first attempt nothing is known
        self._wanted: set[str] = set()
        self._live: set[str] = set()
        self._confirmations: dict[str, asyncio.Future[bool]] = {}
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen."""
        self._task = asyncio.create_task(self._listen_forever(), name=self._name)

    async def stop(self) -> None:
        """Ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    @property
    def is_live(self) -> bool:
        """Whether the link is up and everything wanted is subscribed."""
        return self._pubsub is not None and self._wanted <= self._live

    async def subscribe(self, channel: str) -> bool:
        """Subscribes and waits for the confirmation. False: it will be once the link is back."""
        self._wanted.add(channel)
        if channel in self._live:
            return True
        if self._is_down:
            return False  # the listener subscribes when the link is back
        confirmed = self._confirmations.get(channel)
        if confirmed is None:
            confirmed = self._confirmations[channel] = asyncio.get_running_loop().create_future()
            await self._send_subscribe(channel)
        try:
            async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                return await asyncio.shield(confirmed)
        except TimeoutError:
            return False  # it stays wanted: the listener subscribes when the link is back

    async def unsubscribe(self, channel: str) -> None:
        """Ends a subscription, if there is a link to say so on."""
        self._wanted.discard(channel)
        self._live.discard(channel)
        if (confirmed := self._confirmations.pop(channel, None)) is not None and not confirmed.done():
            confirmed.set_result(False)
        if self._pubsub is not None:
            try:
                await (self._pubsub.sunsubscribe if self._sharded else self._pubsub.unsubscribe)(channel)
            except (RedisError, OSError) as error:
                logger.debug("unsubscribing: %s", error)

    async def _send_subscribe(self, channel: str) -> None:
        if self._pubsub is None:
            return
        try:
            await self._subscribe_on(self._pubsub, [channel])
        except (RedisError, OSError) as error:
            logger.debug("subscribing: %s", error)  # the listener meets the same broken link

    async def _subscribe_on(self, pubsub: PubSub, channels: Iterable[str]) -> None:
        if not self._sharded:
            await pubsub.subscribe(*channels)
            return
        for channel in channels:  # one SSUBSCRIBE takes channels of one slot only
            await pubsub.ssubscribe(channel)

    async def _listen_forever(self) -> None:
        pause = FIRST_PAUSE_S
        is_first = True
        while True:
            client = self._make_client()
            pubsub = client.pubsub()
            try:
                await pubsub.subscribe(self._own_channel)
                self._pubsub = pubsub  # from here on, new channels are sent by whoever wants them
                if self._wanted:
                    await self._subscribe_on(pubsub, tuple(self._wanted))
                pause = FIRST_PAUSE_S
                self._is_down = False
                await self._listen(pubsub, None if is_first else self._on_gap)
            except (RedisError, OSError, TimeoutError) as error:
                logger.warning("%s: %s; next try in about %.2f s", self._name, type(error).__name__, pause)
            except Exception:
                logger.exception("%s failed; next try in about %.2f s", self._name, pause)
            finally:
                self._is_down = True
                self._pubsub = None
                self._live.clear()
                await pubsub.aclose()  # type: ignore[no-untyped-call]
                await client.aclose()
            is_first = False
            self.reconnects += 1
            self._on_lost()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _listen(self, pubsub: PubSub, on_gap: Callable[[], None] | None) -> None:
        """Reads until the link breaks or is silent. Calls ``on_gap`` once everything wanted is subscribed."""
        missing = set(self._wanted)
        if on_gap and not missing:
            on_gap()
        loop = asyncio.get_running_loop()
        pinging = asyncio.create_task(_ping_forever(pubsub), name=f"pings of the {self._name}")
        try:
            async with asyncio.timeout(SILENCE_S) as silence:
                async for item in pubsub.listen():
                    silence.reschedule(loop.time() + SILENCE_S)
                    self._take(item)
                    if on_gap and missing and missing <= self._live | (missing - self._wanted):
                        missing.clear()
                        on_gap()
        finally:
            pinging.cancel()
            await asyncio.wait([pinging])

    def _take(self, item: dict[str, Any]) -> None:
        kind = item["type"]
        if kind in ("message", "smessage"):
            channel = item["channel"].decode()
            if channel in self._wanted:
                self._on_message(channel, item["data"])
        elif kind in ("subscribe", "ssubscribe"):
            self._confirm(item["channel"].decode())
        elif kind == "sunsubscribe" and item["channel"].decode() in self._live:
            self._live.discard(item["channel"].decode())  # its slot has moved to another node
            self._on_lost()

    def _confirm(self, channel: str) -> None:
        if channel in self._wanted:
            self._live.add(channel)
        if (waiting := self._confirmations.pop(channel, None)) is not None and not waiting.done():
            waiting.set_result(True)


async def _ping_forever(pubsub: PubSub) -> None:
    """Asks for signs of life, on the listening connection itself. Its failure is the listener's to meet."""
    try:
        while True:
            await asyncio.sleep(PING_S)
            await pubsub.ping()
    except (RedisError, OSError) as error:
        logger.debug("pinging: %s", error)
