"""Push through somebody's HTTP endpoint: a gateway to phones, a chat bot, a mail sender."""

import time
from collections.abc import Callable

import httpx2
import msgspec

from reference_impl.adapters.signed_webhook import TIMEOUT_S, SignedWebhook
from reference_impl.core.queue_ports import PushProvider
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.health import Health, health_behind
from reference_impl.model.notification_content import NotificationData


class WebhookPushProvider(PushProvider):
    """Posts ``{"user_id", "title", "body", "conversation_id", "message_id"?}`` to a ``SignedWebhook``."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout_s: float = TIMEOUT_S,
        breaker: CircuitBreaker | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._webhook = SignedWebhook(
            url, secret, name="push", timeout_s=timeout_s, breaker=breaker, transport=transport, now=now
        )
        self.breaker: CircuitBreaker = self._webhook.breaker

    async def send(self, user_id: str, notification: NotificationData, *, idempotency_key: str) -> None:
        """One request, if the circuit lets it through."""
        await self._webhook.post(
            msgspec.json.encode({"user_id": user_id, **notification}), idempotency_key=idempotency_key
        )

    def health(self) -> Health:
        """As the circuit breaker knows it."""
        return health_behind(self.breaker, "push", self._webhook.now())

    async def stop(self) -> None:
        """Closes the connections. Idempotent."""
        await self._webhook.stop()
