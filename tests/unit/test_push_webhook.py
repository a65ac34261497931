"""Push through a webhook: what it sends, and what each answer means."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from reference_impl.adapters.push_webhook import WebhookPushProvider
from reference_impl.logs import log_config
from reference_impl.model.circuit_breaker import CircuitBreaker, CircuitState
from reference_impl.model.errors import Unavailable
from reference_impl.model.jobs import PermanentFailure, Postponed
from reference_impl.model.notification_content import NotificationData

HELLO = NotificationData(title="Ann", body="hello", conversation_id="c-1", message_id="m-1")
URL, SECRET = "https://push.example/hook?key=secret-in-url", "a secret"


class Endpoint:
    """The other side: answers with ``answer``, raises it if it is an error, and notes the requests."""

    def __init__(self) -> None:
        self.answer: int | Exception = 200
        self.requests: list[httpx2.Request] = []
        self.now = 1000.0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return httpx2.Response(self.answer, headers={"Location": "https://elsewhere.example/"})


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
async def provider(endpoint: Endpoint) -> AsyncIterator[WebhookPushProvider]:
    made = WebhookPushProvider(
        URL,
        SECRET,
        breaker=CircuitBreaker(failure_threshold=3, cool_down_s=10),
        transport=httpx2.MockTransport(endpoint),
        now=lambda: endpoint.now,
    )
    yield made
    await made.stop()


async def test_what_is_sent(provider: WebhookPushProvider, endpoint: Endpoint) -> None:
    """The notification as JSON, with its key, and signed together with the time."""
    await provider.send("bob", HELLO, idempotency_key="push:m-1:bob")
    (request,) = endpoint.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert json.loads(request.content) == {
        "user_id": "bob", "title": "Ann", "body": "hello", "conversation_id": "c-1", "message_id": "m-1"
    }  # fmt: skip
    assert request.headers["Idempotency-Key"] == "push:m-1:bob"
    assert request.headers["Content-Type"] == "application/json"
    signed = request.headers["X-Timestamp"].encode() + b"." + request.content
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["X-Signature"] == expected


@pytest.mark.parametrize("answer", [200, 201, 202, 204])
async def test_good_answers(provider: WebhookPushProvider, endpoint: Endpoint, answer: int) -> None:
    """Any of the 200s."""
    endpoint.answer = answer
    await provider.send("bob", HELLO, idempotency_key="k")


@pytest.mark.parametrize("answer", [500, 503, 408, 425, 429, httpx2.ConnectError("no"), httpx2.ReadTimeout("slow")])
async def test_answers_that_may_be_better_later(
    provider: WebhookPushProvider, endpoint: Endpoint, answer: int | Exception
) -> None:
    """The error names no address, it may be a secret."""
    endpoint.answer = answer
    with pytest.raises(Unavailable) as raised:
        await provider.send("bob", HELLO, idempotency_key="k")
    assert "example" not in str(raised.value)


@pytest.mark.parametrize("answer", [301, 307, 400, 401, 404, 410, 422])
async def test_answers_that_are_for_good(provider: WebhookPushProvider, endpoint: Endpoint, answer: int) -> None:
    """And no redirect is followed. That the endpoint answers at all keeps the circuit closed."""
    endpoint.answer = answer
    for _ in range(5):
        with pytest.raises(PermanentFailure, match=f"answered {answer}"):
            await provider.send("bob", HELLO, idempotency_key="k")
    assert len(endpoint.requests) == 5
    assert provider.breaker.state is CircuitState.CLOSED


async def test_an_endpoint_that_is_down_is_left_alone(provider: WebhookPushProvider, endpoint: Endpoint) -> None:
    """After some failures nothing is sent, until one probe finds it well again."""
    endpoint.answer = 503
    for _ in range(3):
        with pytest.raises(Unavailable):
            await provider.send("bob", HELLO, idempotency_key="k")
    for _ in range(10):
        with pytest.raises(Postponed) as raised:
            await provider.send("bob", HELLO, idempotency_key="k")
        assert 10 <= raised.value.delay_s <= 15
    assert len(endpoint.requests) == 3
    endpoint.now += 10
    endpoint.answer = 200
    await provider.send("bob", HELLO, idempotency_key="k")
    assert provider.breaker.state is CircuitState.CLOSED


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[str]:
    """A server on a real socket; at the end its one conversation is over, too."""
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            ended.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with asyncio.timeout(5), server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await ended.wait()


async def test_an_endpoint_that_dribbles_is_not_waited_for() -> None:
    """The time is for the whole answer, not for each byte of it."""

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not reader.at_eof():
            writer.write(b"X-A: a\r\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.read(-1)  # until the other side hangs up

    async with serving(dribble) as url:
        provider = WebhookPushProvider(url, SECRET, timeout_s=0.2)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await provider.send("bob", HELLO, idempotency_key="k")
        await provider.stop()


async def test_a_long_answer_is_not_read() -> None:
    """Its status is all that matters."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 1000)
        await reader.read(-1)

    async with serving(talk) as url:
        provider = WebhookPushProvider(url, SECRET)
        await provider.send("bob", HELLO, idempotency_key="k")
        await provider.stop()


def test_the_client_s_own_log_lines_are_off() -> None:
    """They show the address."""
    assert log_config("text")["loggers"]["httpx2"]["level"] == logging.getLevelName(logging.WARNING)
