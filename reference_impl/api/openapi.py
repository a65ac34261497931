"""What ``/openapi.json`` says beyond what the routes say by themselves: errors, tags, and how to begin."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reference_impl.api.schemas import ErrorResponse
from reference_impl.model.descriptions import plain
from reference_impl.model.errors import ChatError

Schema = dict[str, Any]

DESCRIPTION = """The HTTP side of the chat: sign-in, conversations, history.

Live messages come over WebSocket: [/asyncapi.json](/asyncapi.json).

Send `Authorization: Bearer <token>`. Every answer has an `X-Request-ID`; every error has the one shape
`{"error": {"code", "message", "request_id"}}`.
"""

TAGS = {
    "auth": "Tokens and tickets.",
    "chat": "Conversations, messages, who is there.",
    "operators": "What operators do. They need a token that says they are one.",
    "operations": "What process managers and monitoring ask.",
    "documentation": "This, and the same for the WebSocket side.",
    "pages": "What the pages need.",
}

_EXTRA = {
    400: "The body is not what its content type says.",
    500: "The server failed. The request id finds it in its log.",
}
FOR_ONLOOKERS: Schema = {"HTTPBasic": []}
"""Only routes that are for whoever may look at the whole take a browser's name and password."""

_METHODS = ("get", "post", "put", "patch", "delete")


def install_openapi(app: FastAPI, *, is_demo: bool) -> None:
    """Makes ``app`` describe itself completely. Made once, when it is first asked for."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=DESCRIPTION,
                    tags=[{"name": name, "description": text} for name, text in TAGS.items()],
                    routes=app.routes,
                ),
                is_demo=is_demo,
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to do it


def _describe(document: Schema, *, is_demo: bool) -> Schema:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    error = ErrorResponse.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= error.pop("$defs") | {"ErrorResponse": error}
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own shape, which we never send
        schemas.pop(name, None)
    texts = _texts()
    for path_name, path in document["paths"].items():
        for method in _METHODS:
            if (operation := path.get(method)) is not None:
                if is_demo and FOR_ONLOOKERS in operation.get("security", []):
                    operation["security"].append({})  # in demo mode anybody may look
                for status in _statuses(path_name, operation):
                    operation["responses"][str(status)] = _answer(texts[status])
    return document


def _statuses(path: str, operation: Schema) -> list[int]:
    """Which errors an operation can answer with, by what it takes."""
    statuses = [500]
    if operation.get("security"):
        statuses += [401, 403, 503]
    if operation.get("parameters") or "requestBody" in operation:
        statuses += [422]
    if "requestBody" in operation:
        statuses += [400, 403, 503]
        statuses += [413, 429] if path.endswith("/messages") else []
    return sorted(set(statuses))


def _texts() -> dict[int, str]:
    """Status → what it means, from the errors themselves."""
    texts: dict[int, str] = dict(_EXTRA)
    found: list[type[ChatError]] = list(ChatError.__subclasses__())
    for error in found:
        found += error.__subclasses__()
        text = f"`{error.code}`: {plain(error.__doc__ or '').splitlines()[0]}"
        if error.http_status in _EXTRA:
            continue
        known = texts.get(error.http_status)
        texts[error.http_status] = text if known is None else f"{known}\n\n{text}"
    return texts


def _answer(description: str) -> Schema:
    schema = {"$ref": "#/components/schemas/ErrorResponse"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
