"""Somebody's HTTP endpoint that is told something, signed, behind a circuit breaker."""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Callable

import httpx2

from reference_impl.core.queue_ports import Webhook
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.errors import Unavailable
from reference_impl.model.jobs import PermanentFailure, Postponed

TIMEOUT_S = 10.0
"""For the whole request. Less than a job's handler is given."""

TRY_LATER = {408, 425, 429}
"""Answers in the 400s that are about the moment, not about the request."""


class SignedWebhook(Webhook):
    """POSTs JSON to ``url``.

    Headers: ``Idempotency-Key``, the same each time a post is repeated; ``X-Timestamp``, seconds since 1970;
    ``X-Signature``, ``sha256=`` and the hexadecimal HMAC-SHA256, under ``secret``, of the timestamp, a dot and
    the body. Who checks both knows that the request is ours, and that it is not an old one sent again.

    2xx is success. 5xx, 408, 425, 429 and no answer mean that it may go better later; anything else never will,
    redirects included, since the signature is meant for this endpoint alone. A circuit breaker stops the asking
    while the endpoint is down. ``name`` says in errors whose endpoint it is.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        name: str,
        timeout_s: float = TIMEOUT_S,
        breaker: CircuitBreaker | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker: CircuitBreaker = breaker or CircuitBreaker()
        self.now = now
        self._url = url
        self._secret = secret.encode()
        self._name = name
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(transport=transport, timeout=timeout_s, follow_redirects=False)

    async def post(self, body: bytes, *, idempotency_key: str) -> None:
        """One request, if the circuit lets it through."""
        permit = self.breaker.admit(self.now())
        if permit is None:
            # Spread, so that not all that waited come at once when the circuit closes.
            delay_s = self.breaker.retry_after_s(self.now()) * random.uniform(1.0, 1.5)  # noqa: S311 - jitter
            raise Postponed(f"the {self._name} endpoint is taken for dead", delay_s)
        try:
            status = await self._ask(body, idempotency_key)
        except (httpx2.HTTPError, TimeoutError) as error:
            self.breaker.failed(permit, self.now())
            raise Unavailable(f"the {self._name} endpoint does not answer ({type(error).__name__})") from error
        if status >= 500:
            self.breaker.failed(permit, self.now())
            raise Unavailable(f"the {self._name} endpoint answered {status}")
        self.breaker.succeeded(permit, self.now())
        self._require_success(status)

    async def stop(self) -> None:
        """Closes the connections. Idempotent."""
        await self._client.aclose()

    async def _ask(self, body: bytes, idempotency_key: str) -> int:
        """The status. The answer's body is not read: it may be of any size, and nothing in it matters here."""
        timestamp = str(int(time.time()))
        signature = hmac.new(self._secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
            "X-Timestamp": timestamp,
            "X-Signature": f"sha256={signature}",
        }
        # The client's own timeout is for each read; this one is for all of them.
        async with (
            asyncio.timeout(self._timeout_s),
            self._client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            return response.status_code

    def _require_success(self, status: int) -> None:
        if status in TRY_LATER:
            raise Unavailable(f"the {self._name} endpoint answered {status}")
        if not 200 <= status < 300:
            raise PermanentFailure(f"the {self._name} endpoint answered {status}")
