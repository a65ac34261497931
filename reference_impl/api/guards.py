"""What every HTTP request has to fit into, and what every answer says to a browser."""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_impl.api.errors import early_answer
from reference_impl.model.errors import ChatError, TooLarge

BODY_DEADLINE_S = 20.0
"""How long a body may take from the end of the headers."""

DISCARDED_BYTES = 64 * 1024 * 1024
"""How much of a body that is too large is read and thrown away before the connection ends in the middle of it."""

ANSWER_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
"""Unless a page says otherwise for itself. A browser then guesses no types, tells no other site where it was, and
shows our answers in nobody's frame."""


class TooSlow(ChatError):
    """The request did not arrive in time."""

    code = "too_slow"
    http_status = 408


class AnswerHeadersMiddleware:
    """Puts ``ANSWER_HEADERS`` on every answer; what the API says is for no cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWER_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class BodyMiddleware:
    """Reads a request's body before anybody parses it: all of it, in time, and not more than ``max_bytes``."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                body = await self._read(receive)
        except TimeoutError:  # what is left of the body is not read, so the connection has to end
            error = TooSlow(f"the body did not arrive within {BODY_DEADLINE_S:g} s")
            await early_answer(error, scope, {"Connection": "close"})(scope, receive, send)
            return
        except TooLarge as error:
            await early_answer(error, scope, {"Connection": "close"})(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _given(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None when the client has gone. Raises ``TooLarge``, once all of it has passed.

        Who answers while the client still writes, and closes, is not heard: its system drops what it has received.
        """
        body, size, more = bytearray(), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece, more = message.get("body", b""), message.get("more_body", False)
            size += len(piece)
            if size <= self._max_bytes:
                body += piece
            elif size > DISCARDED_BYTES:
                break
        if size > self._max_bytes:
            raise TooLarge(f"a body has at most {self._max_bytes} bytes")
        return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives this body, and then what comes after it."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_body() -> Message:
        return first.pop() if first else await receive()

    return receive_body


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
