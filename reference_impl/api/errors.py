"""Errors over HTTP: one shape, a request id, and never a traceback."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from reference_impl.core.traffic import Traffic
from reference_impl.model.errors import ChatError, RateLimited

_CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed"}


def install_error_handlers(app: FastAPI, traffic: Traffic) -> None:
    """Every error of every route in the one shape, and counted by its code."""

    def answer(
        status: int, code: str, message: str, request: Request, headers: dict[str, str] | None = None
    ) -> JSONResponse:
        traffic.errors[code] += 1
        return error_answer(status, code, message, request.state.request_id, headers)

    @app.exception_handler(ChatError)
    async def on_chat_error(request: Request, error: ChatError) -> JSONResponse:
        headers = {"Retry-After": str(int(error.retry_after) + 1)} if isinstance(error, RateLimited) else None
        return answer(error.http_status, error.code, error.message, request, headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = "; ".join(_problem(problem) for problem in error.errors())
        return answer(422, "invalid", problems, request)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid")
        headers = dict(error.headers) if error.headers else None
        return answer(error.status_code, code, str(error.detail), request, headers)


def early_answer(error: ChatError, scope: Scope, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to an error that was met before any route."""
    scope["app"].state.services.traffic.errors[error.code] += 1
    return error_answer(error.http_status, error.code, error.message, scope["state"]["request_id"], headers)


def _problem(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != "body")
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def error_answer(
    status: int, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The one shape of all errors."""
    body = {"error": {"code": code, "message": message, "request_id": request_id}}
    return JSONResponse(body, status_code=status, headers=headers)
