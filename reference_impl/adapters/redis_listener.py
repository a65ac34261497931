"""One subscribed connection to one Redis server, kept up by a supervisor."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from reference_impl.adapters.redis_wire import RedisWire

logger = logging.getLogger(__name__)

SUBSCRIBE_DEADLINE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between attempts to reconnect: doubled each time, with jitter, so that instances do not come back in step."""

PING_S, MOST_UNHEARD = 1.0, 2
"""How often we ask for a sign of life, and how often in vain. A frozen link looks like a quiet one."""

TakeMessage = Callable[[str, bytes], None]


class RedisListener:
    """Listens to any number of channels over one connection.

    When the link breaks, or is silent though it was asked for a sign of life, it connects again, subscribes to all
    that is wanted, and only then reports the gap: what was published meanwhile is lost, and somebody must know.

    ``client`` is of the one server; only where it leads is used. ``own_channel`` keeps the link subscribed, so that
    listening works before any other channel, and after the last. ``sharded`` uses SSUBSCRIBE, which a cluster has
    beside SUBSCRIBE. ``on_lost`` is called when the link breaks, or when the server takes a channel away from it.
    """

    def __init__(
        self,
        client: Redis,
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
        self._client = client
        self._own_channel = own_channel
        self._on_message = on_message
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._sharded = sharded
        self._name = name
        self._is_up = False
        self._is_down = False  # known to be; before the first attempt nothing is known
        self._wanted: set[str] = set()
        self._live: set[str] = set()
        self._missing: set[str] | None = None  # after a loss: what must be live again before the gap is reported
        self._unheard = 0
        self._pause_s = FIRST_PAUSE_S
        self._confirmations: dict[str, asyncio.Future[bool]] = {}
        self._wire: RedisWire | None = None
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
        return self._is_up and self._wanted <= self._live

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
            self._tell_to_subscribe([channel])
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
        if self._wire is not None:
            self._wire.tell("SUNSUBSCRIBE" if self._sharded else "UNSUBSCRIBE", channel)
        self._no_longer_missing(channel)

    def _tell_to_subscribe(self, channels: Iterable[str]) -> None:
        if self._wire is None:
            return  # the listener subscribes to all that is wanted, when it begins
        if self._sharded:
            for channel in channels:  # one SSUBSCRIBE takes channels of one slot only
                self._wire.tell("SSUBSCRIBE", channel)
        else:
            self._wire.tell("SUBSCRIBE", *channels)

    async def _listen_forever(self) -> None:
        while True:
            wire = self._wire = RedisWire(self._client, self._take)
            wire.tell("SUBSCRIBE", self._own_channel)
            if self._wanted:
                self._tell_to_subscribe(self._wanted)
            if self.reconnects:
                self._missing = {self._own_channel, *self._wanted}
            try:
                await self._until_lost(wire)
            except (RedisError, OSError) as error:
                logger.warning("%s: %s; next try in about %.2f s", self._name, type(error).__name__, self._pause_s)
            except Exception:
                logger.exception("%s failed; next try in about %.2f s", self._name, self._pause_s)
            finally:
                self._is_up, self._is_down = False, True
                self._wire = None
                self._live.clear()
                await wire.close()
            self.reconnects += 1
            self._on_lost()
            await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    async def _until_lost(self, wire: RedisWire) -> None:
        """Raises the reason of the loss, or ``TimeoutError`` when the link is silent."""
        self._unheard = 0
        while not (await asyncio.wait([wire.lost], timeout=PING_S))[0]:
            if self._unheard == MOST_UNHEARD:
                raise TimeoutError("no sign of life")
            self._unheard += 1
            wire.tell("PING")
        raise wire.lost.result()

    def _take(self, item: Any) -> None:
        """Takes what Redis sends: of three parts, unless it is an answer to a PING, or an error."""
        self._unheard = 0
        if isinstance(item, Exception):
            raise item
        if not isinstance(item, list) or len(item) != 3:
            return
        kind, channel, payload = item[0], item[1].decode(), item[2]
        if kind in (b"message", b"smessage"):
            if channel in self._wanted:
                self._on_message(channel, payload)
        elif kind in (b"subscribe", b"ssubscribe"):
            self._confirm(channel)
        elif kind == b"sunsubscribe" and channel in self._live:
            self._live.discard(channel)  # its slot has moved to another node
            self._on_lost()

    def _confirm(self, channel: str) -> None:
        if channel == self._own_channel:
            self._is_up, self._is_down = True, False
            self._pause_s = FIRST_PAUSE_S
        if channel in self._wanted:
            self._live.add(channel)
        if (waiting := self._confirmations.pop(channel, None)) is not None and not waiting.done():
            waiting.set_result(True)
        self._no_longer_missing(channel)

    def _no_longer_missing(self, channel: str) -> None:
        if self._missing is not None:
            self._missing.discard(channel)
            if not self._missing:
                self._missing = None
                self._on_gap()
