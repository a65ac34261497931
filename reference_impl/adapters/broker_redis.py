"""The broker over Redis publish/subscribe."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from reference_impl.adapters.redis_client import RedisLink, redis_client
from reference_impl.core.ports import Broker, MessageHandler

logger = logging.getLogger(__name__)

SUBSCRIBE_DEADLINE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between attempts to reconnect: doubled each time, with jitter, so that instances do not come back in step."""

PING_S, SILENCE_S = 1.0, 3.0
"""How often we ask for a sign of life, and how long we wait for one. A frozen link looks like a quiet one."""


class RedisBroker(Broker):
    """One connection listens, whatever the number of channels; publishing goes over the link for commands.

    The listener is supervised: when its link breaks, or is silent though it was asked for a sign of life, it
    connects again, subscribes to all that is wanted, and only then reports the gap. The client's own silent
    reconnecting is off, because what was published meanwhile is lost and somebody must know.
    """

    def __init__(self, url: str, link: RedisLink, *, prefix: str = "") -> None:
        self._prefix = prefix
        self._url = url
        self._link = link
        self._is_down = False  # known to be; before the first attempt nothing is known
        self._wanted: set[str] = set()
        self._live: set[str] = set()
        self._confirmations: dict[str, asyncio.Future[bool]] = {}
        self._pubsub: PubSub | None = None
        self._listener: asyncio.Task[None] | None = None
        self.reconnects = 0
        """How often the listener had to come back, since the start."""

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        """Starts the listener."""
        self._listener = asyncio.create_task(self._listen_forever(on_message, on_gap), name="redis listener")

    async def publish(self, channel: str, payload: bytes) -> int:
        """One PUBLISH; returns the number of listening instances."""
        async with self._link.commands("publishing") as redis:
            return int(await redis.publish(self._prefix + channel, payload))

    async def subscribe(self, channel: str) -> bool:
        """Subscribes and waits for Redis to confirm it."""
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
        """Sends UNSUBSCRIBE, if there is a link to send it on."""
        self._wanted.discard(channel)
        self._live.discard(channel)
        if (confirmed := self._confirmations.pop(channel, None)) is not None and not confirmed.done():
            confirmed.set_result(False)
        if self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(self._prefix + channel)
            except (RedisError, OSError) as error:
                logger.debug("unsubscribing: %s", error)

    @property
    def is_live(self) -> bool:
        """Whether the listener's link is up and everything wanted is subscribed."""
        return self._pubsub is not None and self._wanted <= self._live

    async def stop(self) -> None:
        """Ends the listener and the link. Idempotent."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
            self._listener = None
        await self._link.stop()

    async def _send_subscribe(self, channel: str) -> None:
        if self._pubsub is None:
            return
        try:
            await self._pubsub.subscribe(self._prefix + channel)
        except (RedisError, OSError) as error:
            logger.debug("subscribing: %s", error)  # the listener meets the same broken link

    async def _listen_forever(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        pause = FIRST_PAUSE_S
        first = True
        while True:
            client = redis_client(self._url)
            pubsub = client.pubsub()
            try:
                # A channel of its own keeps the link subscribed, so that listening works before any other.
                await pubsub.subscribe(self._prefix + "ws:listener")
                self._pubsub = pubsub  # from here on, new channels are sent by whoever wants them
                if self._wanted:
                    await pubsub.subscribe(*(self._prefix + channel for channel in self._wanted))
                pause = FIRST_PAUSE_S
                self._is_down = False
                await self._listen(pubsub, on_message, None if first else on_gap)
            except (RedisError, OSError, TimeoutError) as error:
                logger.warning("redis listener: %s; next try in about %.2f s", type(error).__name__, pause)
            except Exception:
                logger.exception("redis listener failed; next try in about %.2f s", pause)
            finally:
                self._is_down = True
                self._pubsub = None
                self._live.clear()
                await pubsub.aclose()  # type: ignore[no-untyped-call]
                await client.aclose()
            first = False
            self.reconnects += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _listen(self, pubsub: PubSub, on_message: MessageHandler, on_gap: Callable[[], None] | None) -> None:
        """Reads until the link breaks or is silent. Calls ``on_gap`` once everything wanted is subscribed."""
        missing = set(self._wanted)
        if on_gap and not missing:
            on_gap()
        loop = asyncio.get_running_loop()
        pinging = asyncio.create_task(_ping_forever(pubsub), name="redis listener's pings")
        try:
            async with asyncio.timeout(SILENCE_S) as silence:
                async for item in pubsub.listen():
                    silence.reschedule(loop.time() + SILENCE_S)
                    self._take(item, on_message)
                    if on_gap and missing and missing <= self._live | (missing - self._wanted):
                        missing.clear()
                        on_gap()
        finally:
            pinging.cancel()
            await asyncio.wait([pinging])

    def _take(self, item: dict[str, Any], on_message: MessageHandler) -> None:
        if item["type"] == "message":
            channel = item["channel"].decode().removeprefix(self._prefix)
            if channel in self._wanted:
                on_message(channel, item["data"])
        elif item["type"] == "subscribe":
            self._confirm(item["channel"].decode().removeprefix(self._prefix))

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
