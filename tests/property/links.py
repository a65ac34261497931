"""What lies between an instance and what all instances share: links that a test can cut, and a bus that loses."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.core.message_router import CONVERSATION_CHANNEL, PRESENCE_CHANNEL
from reference_impl.core.ports import Broker, MessageHandler
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import Health, HealthState

Fate = Literal["lose", "double", "hold"]

WAY_S = 0.001
HELD_S = 0.4
"""How late a frame is that was held on its way: others have overtaken it by then."""


class LossyBus:
    """What Redis is for publish and subscribe. ``is_up`` False: it refuses everything."""

    def __init__(self) -> None:
        self.brokers: list[LossyBroker] = []
        self.is_up = True

    def go_down(self) -> None:
        """Every link breaks, and every subscription with it."""
        self.is_up = False
        for broker in self.brokers:
            broker.channels.clear()

    def come_back(self) -> None:
        """Every listener subscribes again to what it wants, and says that it may have missed something."""
        self.is_up = True
        for broker in self.brokers:
            broker.reconnect()


class LossyBroker(Broker):
    """One instance's broker. ``fates`` says what becomes of the next frames of conversations that come to it;
    ``loses_presence``, that none about who has come and gone does.
    """

    def __init__(self, bus: LossyBus) -> None:
        self.channels: set[str] = set()
        self.fates: deque[Fate] = deque()
        self.loses_presence = False
        self._bus = bus
        self._wanted: set[str] = set()
        self._on_message: MessageHandler | None = None
        self._on_gap: Callable[[], None] = lambda: None

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        self._on_message, self._on_gap = on_message, on_gap
        self._bus.brokers.append(self)

    async def publish(self, channel: str, payload: bytes) -> int:
        await asyncio.sleep(WAY_S)
        if not self.is_live:
            raise Unavailable("Redis is away")
        receivers = [broker for broker in self._bus.brokers if channel in broker.channels]
        for receiver in receivers:
            receiver.arrive(channel, payload)
        return len(receivers)

    async def subscribe(self, channel: str) -> bool:
        self._wanted.add(channel)
        await asyncio.sleep(WAY_S)
        if self.is_live and channel in self._wanted:
            self.channels.add(channel)
        return self.is_live

    async def unsubscribe(self, channel: str) -> None:
        self._wanted.discard(channel)
        self.channels.discard(channel)

    @property
    def is_live(self) -> bool:
        return self._bus.is_up and self in self._bus.brokers

    def health(self) -> Health:
        return Health("broker", HealthState.OK if self.is_live else HealthState.AWAY)

    async def stop(self) -> None:
        if self in self._bus.brokers:
            self._bus.brokers.remove(self)

    def reconnect(self) -> None:
        self.channels |= self._wanted
        self._on_gap()

    def arrive(self, channel: str, payload: bytes) -> None:
        if self.loses_presence and channel == PRESENCE_CHANNEL:
            return
        loop = asyncio.get_running_loop()
        fate = self.fates.popleft() if self.fates and channel.startswith(CONVERSATION_CHANNEL) else None
        match fate:
            case "lose":
                return
            case "double":
                loop.call_later(WAY_S, self._hand_over, channel, payload)
                loop.call_later(HELD_S, self._hand_over, channel, payload)
            case "hold":
                loop.call_later(HELD_S, self._hand_over, channel, payload)
            case None:
                loop.call_later(WAY_S, self._hand_over, channel, payload)

    def _hand_over(self, channel: str, payload: bytes) -> None:
        if self._on_message is not None and channel in self.channels and self in self._bus.brokers:
            self._on_message(channel, payload)


class Link:
    """Calls through to ``other`` while ``is_up()``, and raises ``Unavailable`` otherwise."""

    def __init__(self, other: Any, is_up: Callable[[], bool]) -> None:
        self._other = other
        self._is_up = is_up

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._other, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            await asyncio.sleep(WAY_S)
            if not self._is_up() and name != "stop":
                raise Unavailable("the link is cut")
            return await method(*arguments, **named)

        return call


class ForgetfulPresenceStore(MemoryPresenceStore):
    """One that can lose everything it knows."""

    def flush(self) -> None:
        self._ends.clear()
