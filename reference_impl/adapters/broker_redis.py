"""The broker over Redis publish/subscribe."""

from collections.abc import Callable

from reference_impl.adapters.redis_client import RedisLink, redis_client
from reference_impl.adapters.redis_listener import RedisListener
from reference_impl.adapters.redis_publisher import RedisPublisher
from reference_impl.core.ports import Broker, MessageHandler
from reference_impl.model.health import Health


class RedisBroker(Broker):
    """One connection listens, whatever the number of channels, and one publishes."""

    def __init__(self, url: str, link: RedisLink, *, prefix: str = "") -> None:
        self._prefix = prefix
        self._link = link
        self._on_message: MessageHandler = _nobody
        self._on_gap: Callable[[], None] = lambda: None
        client = redis_client(url)
        self._publisher = RedisPublisher(client)
        self._listener = RedisListener(
            client,
            own_channel=prefix + "ws:listener",
            on_message=lambda channel, payload: self._on_message(channel.removeprefix(prefix), payload),
            on_gap=lambda: self._on_gap(),
        )

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        """Starts the listener."""
        self._on_message, self._on_gap = on_message, on_gap
        self._listener.start()

    async def publish(self, channel: str, payload: bytes) -> int:
        """One PUBLISH; returns the number of listening instances."""
        with self._link.attempt("publishing"):
            return int(await self._publisher.ask("PUBLISH", self._prefix + channel, payload))

    async def subscribe(self, channel: str) -> bool:
        """Subscribes and waits for Redis to confirm it."""
        return await self._listener.subscribe(self._prefix + channel)

    async def unsubscribe(self, channel: str) -> None:
        """Sends UNSUBSCRIBE, if there is a link to send it on."""
        await self._listener.unsubscribe(self._prefix + channel)

    @property
    def is_live(self) -> bool:
        """Whether the listener's link is up and everything wanted is subscribed."""
        return self._listener.is_live

    def health(self) -> Health:
        """Of both: the listening, and the link for commands."""
        return self._link.health("broker", is_listening=self.is_live)

    async def stop(self) -> None:
        """Ends the listener, the publisher and the link. Idempotent."""
        await self._listener.stop()
        await self._publisher.stop()
        await self._link.stop()


def _nobody(_channel: str, _payload: bytes) -> None:
    """Before the start nobody listens."""
