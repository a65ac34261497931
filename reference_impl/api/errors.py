"""Errors over HTTP: one shape, a request id, and never a traceback."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from reference_impl.model.errors import ChatError, RateLimited

logger = logging.getLogger(__name__)

_CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed"}


class RequestIdMiddleware:
    """Gives every request an id, returns it in ``X-Request-ID``, and answers what nobody else caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            if not started:
                answer = _answer(
                    500, "server_error", "the server failed; the request id finds it in its log", request_id
                )
                await answer(scope, receive, send_with_id)


def install_error_handlers(app: FastAPI) -> None:
    """Every error of every route in the one shape."""
    app.add_middleware(RequestIdMiddleware)

    @app.exception_handler(ChatError)
    async def on_chat_error(request: Request, error: ChatError) -> JSONResponse:
        headers = {"Retry-After": str(int(error.retry_after) + 1)} if isinstance(error, RateLimited) else None
        return _answer(error.http_status, error.code, error.message, request.state.request_id, headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = "; ".join(_problem(problem) for problem in error.errors())
        return _answer(422, "invalid", problems, request.state.request_id)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid")
        headers = dict(error.headers) if error.headers else None
        return _answer(error.status_code, code, str(error.detail), request.state.request_id, headers)


def answer(error: ChatError, scope: Scope, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to an error that was met before any route."""
    return _answer(error.http_status, error.code, error.message, scope["state"]["request_id"], headers)


def _problem(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != "body")
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def _answer(
    status: int, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    body = {"error": {"code": code, "message": message, "request_id": request_id}}
    return JSONResponse(body, status_code=status, headers=headers)
