"""The assistant over HTTP: any service that speaks OpenAI's chat completions, in a cloud or on this machine."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import httpx2
import msgspec

from reference_impl.core.ai_port import AiProvider
from reference_impl.model.assistant import Turn
from reference_impl.model.errors import Unavailable
from reference_impl.model.jobs import PermanentFailure

INSTRUCTION = (
    "You are a participant of a chat. Each message of the others begins with the name of who wrote it. "
    "Answer the last one, briefly, without a name before your answer."
)

LARGEST_EVENT = 256 * 1024
"""In bytes. An event that is larger is not read: a service must not fill our memory."""

TRY_LATER = {408, 409, 425, 429}
"""Answers in the 400s that are about the moment, not about the request."""

DONE = b"[DONE]"


class OpenAiProvider(AiProvider):
    """POSTs to ``<url>/v1/chat/completions`` with ``stream: true`` and reads server-sent events.

    5xx, some 4xx, no answer, and an answer that ends in the middle mean that it may go better later; anything else
    never will, redirects included: the key is meant for this service alone. Errors name no address and quote nothing.
    """

    name = "openai"

    def __init__(
        self, url: str, *, key: str, model: str, timeout_s: float, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"
        self._model = model
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.AsyncClient(
            headers=headers, transport=transport, timeout=timeout_s, follow_redirects=False
        )

    async def stream(self, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
        """The ``content`` of each event."""
        messages = [{"role": "system", "content": INSTRUCTION}]
        messages += [{"role": turn.role, "content": turn.text} for turn in turns]
        body = {"model": self._model, "stream": True, "messages": messages}
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                _require_success(response.status_code)
                async for data in _events(response):
                    if data == DONE:
                        return
                    piece, is_last = _piece_of(data)
                    if piece:
                        yield piece
                    if is_last:
                        return
        except httpx2.HTTPError as error:
            raise Unavailable(f"the AI service does not answer ({type(error).__name__})") from error
        raise Unavailable("the AI service's answer ended in the middle")

    async def stop(self) -> None:
        """Closes the connections. Idempotent."""
        await self._client.aclose()


def _require_success(status: int) -> None:
    if status >= 500 or status in TRY_LATER:
        raise Unavailable(f"the AI service answered {status}")
    if not 200 <= status < 300:
        raise PermanentFailure(f"the AI service answered {status}")


async def _events(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The ``data`` of each event. Here an event is one line, as in all services of this kind."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
        if len(rest) > LARGEST_EVENT:
            raise PermanentFailure("the AI service sends an event without an end")


def _piece_of(data: bytes) -> tuple[str, bool]:
    """What an event adds to the answer, and whether it is the last one. Raises ``Unavailable`` for an error."""
    try:
        event: Any = msgspec.json.decode(data)
        if "error" in event:
            raise Unavailable("the AI service failed in the middle of its answer")
        if not event["choices"]:
            return "", False  # figures about the answer
        choice = event["choices"][0]
        content = choice.get("delta", {}).get("content") or ""
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise PermanentFailure("the AI service's answer makes no sense") from error
    if not isinstance(content, str):
        raise PermanentFailure("the AI service's answer makes no sense")
    return content, choice.get("finish_reason") is not None
