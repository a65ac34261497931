"""A broker without a network: instances in one process share a ``MemoryBus``."""

from collections.abc import Callable

from reference_impl.core.ports import Broker, MessageHandler
from reference_impl.model.health import Health, HealthState


class MemoryBus:
    """What the brokers of several instances are plugged into."""

    def __init__(self) -> None:
        self.brokers: set[MemoryBroker] = set()


class MemoryBroker(Broker):
    """Keeps the broker's promises within one process. For tests, and for one instance without Redis."""

    def __init__(self, bus: MemoryBus | None = None) -> None:
        self._bus = bus or MemoryBus()
        self._channels: set[str] = set()
        self._on_message: MessageHandler | None = None

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:  # noqa: ARG002 - no gaps here
        """Plugs this instance in."""
        self._on_message = on_message
        self._bus.brokers.add(self)

    async def publish(self, channel: str, payload: bytes) -> int:
        """Hands the payload to every subscribed instance, in this very turn."""
        receivers = [b._on_message for b in self._bus.brokers if channel in b._channels and b._on_message]
        for receive in receivers:
            receive(channel, payload)
        return len(receivers)

    async def subscribe(self, channel: str) -> bool:
        """Live at once."""
        self._channels.add(channel)
        return True

    async def unsubscribe(self, channel: str) -> None:
        """Ended at once."""
        self._channels.discard(channel)

    @property
    def is_live(self) -> bool:
        """While it is plugged in."""
        return self in self._bus.brokers

    def health(self) -> Health:
        """Well, while it is plugged in."""
        return Health("broker", HealthState.OK if self.is_live else HealthState.AWAY)

    async def stop(self) -> None:
        """Pulls the plug."""
        self._bus.brokers.discard(self)
