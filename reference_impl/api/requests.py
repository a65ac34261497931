"""Around every HTTP request: its id, its line in the log, and an answer whatever happens."""

import logging
import time
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from reference_impl.api.errors import error_answer
from reference_impl.core.traffic import Traffic
from reference_impl.logs import belonging_to
from reference_impl.model.event_factories import create_system_error

logger = logging.getLogger(__name__)

LONGEST_PATH = 200

WATCHERS = {"/healthz", "/readyz", "/metrics", "/api/v1/monitor"}
"""Asked again and again by those who watch. While all is well that is no news, and nothing that users do."""


class RequestMiddleware:
    """Gives every request an id, returns it in ``X-Request-ID``, notes how it went, and answers what nobody caught.

    The line in the log has no query and no body: what signs people in may be in the one, what they say in the other.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0  # until the answer begins

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        with belonging_to(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                logger.exception("a request failed")
                _tell(scope["app"].state.services, request_id)
                if not status:
                    self._traffic.errors["server_error"] += 1
                    words = "the server failed; the request id finds it in its log"
                    await error_answer(500, "server_error", words, request_id)(scope, receive, send_with_id)
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], _path_of(scope)
        is_watching = path in WATCHERS and status < 400
        if not is_watching:
            self._traffic.requests[status] += 1
            self._traffic.request_seconds.observe(seconds)
        fields = {"method": method, "path": path, "status": status, "duration_s": round(seconds, 6)}
        level = logging.DEBUG if is_watching else logging.INFO
        logger.log(level, "%s %s %d in %.1f ms", method, path, status, seconds * 1000, extra={"fields": fields})


def _path_of(scope: Scope) -> str:
    """As it was sent, so that no character in it can break the line, and without the query."""
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw is not None else quote(scope["path"])
    return path[:LONGEST_PATH]


def _tell(services: Any, request_id: str) -> None:
    """``services`` are those of ``deps.py``, which imports this module."""
    services.event_bus.publish(
        create_system_error(
            "request_failed",
            "an HTTP request failed; the log has it by its id",
            source="http",
            timestamp=services.clock(),
            request_id=request_id,
        )
    )
