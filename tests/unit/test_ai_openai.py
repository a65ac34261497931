"""The assistant over HTTP: against a server on a real socket that speaks, dribbles, breaks off, or refuses."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest

from reference_impl.adapters import ai_openai
from reference_impl.adapters.ai_offline import OfflineAiProvider
from reference_impl.adapters.ai_openai import OpenAiProvider
from reference_impl.model.assistant import Turn
from reference_impl.model.errors import Unavailable
from reference_impl.model.jobs import PermanentFailure

TURNS = [Turn("user", "Ann: hello"), Turn("assistant", "hello Ann"), Turn("user", "Ann: and now?")]
KEY = "a secret key"


def event(piece: str | None, **choice: Any) -> bytes:
    delta = {} if piece is None else {"content": piece}
    return b"data: " + json.dumps({"choices": [{"delta": delta, **choice}]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Service:
    """The other side: sends ``parts`` as they are, one by one, and notes what it was asked."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.parts: list[bytes] = []
        self.hangs = False
        self.request = b""
        self.hung_up = asyncio.Event()
        self.sent = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.request = head + await reader.readexactly(length)
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Type: text/event-stream\r\n\r\n".encode())
            for part in self.parts:
                writer.write(part)
                await writer.drain()
                self.sent += 1
            if self.hangs:
                await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self.hung_up.set()

    @property
    def body(self) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(self.request.partition(b"\r\n\r\n")[2])
        return asked


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = service
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with asyncio.timeout(10), server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await service.hung_up.wait()


@pytest.fixture
async def provider(url: str) -> AsyncIterator[OpenAiProvider]:
    made = OpenAiProvider(url, key=KEY, model="small", timeout_s=5)
    yield made
    await made.stop()


async def pieces_of(provider: OpenAiProvider) -> list[str]:
    return [piece async for piece in provider.stream(TURNS)]


async def test_an_answer_in_pieces(service: Service, provider: OpenAiProvider) -> None:
    """As they come, wherever the network cuts them; what is no text in between is left out."""
    figures = b'data: {"choices": []}\n\n'
    whole = b": a comment\n\n" + event("", role="x") + event("Hel") + event("lo, 世界") + figures + DONE
    service.parts = [whole[start : start + 7] for start in range(0, len(whole), 7)]
    assert "".join(await pieces_of(provider)) == "Hello, 世界"


async def test_what_is_sent(service: Service, provider: OpenAiProvider) -> None:
    """The conversation in order, the model, the key as a bearer."""
    service.parts = [event("yes"), event(None, finish_reason="stop")]
    assert await pieces_of(provider) == ["yes"]
    head = service.request.decode()
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"authorization: bearer {KEY}" in head.lower()
    assert (service.body["model"], service.body["stream"]) == ("small", True)
    assert [(one["role"], one["content"]) for one in service.body["messages"][1:]] == [
        ("user", "Ann: hello"), ("assistant", "hello Ann"), ("user", "Ann: and now?")
    ]  # fmt: skip


async def test_an_address_may_end_in_v1(service: Service, url: str) -> None:
    """As their documentation has it. Without a key no header is sent."""
    service.parts = [DONE]
    provider = OpenAiProvider(f"{url}/v1/", key="", model="small", timeout_s=5)
    assert await pieces_of(provider) == []
    await provider.stop()
    assert service.request.startswith(b"POST /v1/chat/completions ")
    assert b"authorization" not in service.request.lower()


@pytest.mark.parametrize("status", ["500 Oops", "503 Away", "429 Slower"])
async def test_answers_that_may_be_better_later(service: Service, provider: OpenAiProvider, status: str) -> None:
    """The error says which, and neither where nor with which key."""
    service.status = status
    with pytest.raises(Unavailable, match=status[:3]) as raised:
        await pieces_of(provider)
    assert KEY not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)


@pytest.mark.parametrize("status", ["400 No", "401 Who", "404 What", "302 There"])
async def test_answers_that_are_for_good(service: Service, provider: OpenAiProvider, status: str) -> None:
    """Asking again would change nothing; redirects are not followed, since the key is for this service."""
    service.status = status
    with pytest.raises(PermanentFailure, match=status[:3]):
        await pieces_of(provider)


@pytest.mark.parametrize("parts", [[event("Hel")], [], [b'data: {"error": {"message": "secret"}}\n\n']])
async def test_an_answer_that_breaks_off(service: Service, provider: OpenAiProvider, parts: list[bytes]) -> None:
    """Half an answer is none."""
    service.parts = parts
    with pytest.raises(Unavailable) as raised:
        await pieces_of(provider)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "data", [b"nonsense", b"[]", b"3", b'{"choices": 3}', b'{"choices": [{"delta": {"content": [1]}}]}', b"\xff\xfe"]
)
async def test_an_answer_that_makes_no_sense(service: Service, provider: OpenAiProvider, data: bytes) -> None:
    """It is refused in words, whatever it is."""
    service.parts = [b"data: " + data + b"\n\n"]
    with pytest.raises(PermanentFailure, match="no sense"):
        await pieces_of(provider)


async def test_an_event_without_an_end(
    service: Service, provider: OpenAiProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fill our memory."""
    monkeypatch.setattr(ai_openai, "LARGEST_EVENT", 1000)
    service.parts = [b"data: " + b"x" * 500] * 5
    with pytest.raises(PermanentFailure, match="without an end"):
        await pieces_of(provider)


async def test_who_has_enough_hangs_up(service: Service, provider: OpenAiProvider) -> None:
    """Closing the iterator closes the connection: the service need not go on."""
    service.parts, service.hangs = [event("Hel"), event("lo")], True
    async with aclosing(provider.stream(TURNS)) as pieces:
        async for piece in pieces:
            assert piece == "Hel"
            break
    await service.hung_up.wait()


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server at all is like one that is away."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    provider = OpenAiProvider("http://127.0.0.1:1", key="", model="small", timeout_s=5)
    with pytest.raises(Unavailable, match="ConnectError"):
        await pieces_of(provider)
    await provider.stop()


async def test_the_offline_one_answers_the_same_each_time() -> None:
    """In pieces, and with what it was asked."""
    provider = OfflineAiProvider(pause_s=0)
    first = [piece async for piece in provider.stream(TURNS)]
    assert first == [piece async for piece in provider.stream(TURNS)]
    assert len(first) > 5
    assert "".join(first) == 'I am the offline assistant, Ann. You said: "and now?" (2 words, 3 messages so far).'
