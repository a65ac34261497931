"""Holds every frame and every answer that the tests' lab clients see against the published documents.

``watch`` hooks itself into ``LabClient`` and ``Lab``. What does not fit is noted; the fixture in ``conftest.py``
fails the test in which it came. The schemas are taken as closed here: a field that is not documented does not fit.
"""

import copy
import re
from functools import cache
from typing import Any

import httpx2
import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from course.workbench.client import LabClient
from course.workbench.lab import Lab
from course.workbench.lab_people import LabPeople
from reference_impl.api.asyncapi import asyncapi_document
from reference_impl.app import create_app
from reference_impl.model.errors import BadJson, Invalid, UnknownType
from reference_impl.model.frame_schemas import client_frame_name, server_frame_name
from reference_impl.model.frames import CLIENT_FRAMES, parse_client_frame
from reference_impl.model.server_frames import SERVER_FRAMES
from reference_impl.settings import Settings

ASYNCAPI = asyncapi_document(
    host="localhost", is_secure=False, version="test", query_token_allowed=True, max_frame_bytes=65536
)


class FrameChecker:
    """Checks against the frames' schemas of an AsyncAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        self._server = {action: _validator(server_frame_name(action), _closed(schemas)) for action in SERVER_FRAMES}
        self._client = {name: _validator(client_frame_name(name), schemas) for name in CLIENT_FRAMES}

    def complaint_about_received(self, frame: Any) -> str | None:
        """Why a frame of the server is none that was promised; None when it is."""
        action = frame.get("action") if isinstance(frame, dict) else None
        if action not in self._server:
            return f"received a frame whose action is not documented: {action!r}"
        error = best_match(self._server[action].iter_errors(frame))
        return None if error is None else f"received {action}: {error.json_path}: {error.message}"

    def complaint_about_sent(self, raw: str) -> str | None:
        """Whether document and server disagree on a client's frame. A bad frame is none if both say so."""
        try:
            parse_client_frame(raw)
        except (BadJson, UnknownType):
            return None
        except Invalid as refused:
            refusal: Invalid | None = refused
        else:
            refusal = None
        frame = msgspec.json.decode(raw)
        validator = self._client.get(frame.get("type")) if isinstance(frame.get("type"), str) else None
        error = best_match(validator.iter_errors(frame)) if validator is not None else "no type"
        if (error is None) == (refusal is None):
            return None
        return f"sent {str(raw)[:200]}: the server says {refusal or 'good'}, the document says {error or 'good'}"


def _closed(schemas: dict[str, Any]) -> dict[str, Any]:
    """The same, with no room for properties that are not named."""
    closed = copy.deepcopy(schemas)
    for schema in closed.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return closed


def _validator(name: str, schemas: dict[str, Any]) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return Draft202012Validator(schema, format_checker=FormatChecker())


CHECKER = FrameChecker(ASYNCAPI)


class AnswerChecker:
    """Checks HTTP answers against an OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]
        self._operations = {
            (method.upper(), re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path)))): operation["responses"]
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def complaint_about(self, method: str, path: str, status: int, body: Any) -> str | None:
        """Why an answer is none that was promised; None when it is, or when its route is not documented at all."""
        for (of_method, pattern), responses in self._operations.items():
            if of_method == method and pattern.fullmatch(path):
                return self._complaint(f"{method} {path} answered {status}", responses.get(str(status)), body)
        return None

    def _complaint(self, what: str, promised: dict[str, Any] | None, body: Any) -> str | None:
        if promised is None:
            return f"{what}, which is not documented"
        schema = promised.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return None
        error = best_match(Draft202012Validator(schema | {"components": self._components}).iter_errors(body))
        return None if error is None else f"{what}: {error.json_path}: {error.message}"


@cache
def answer_checker() -> AnswerChecker:
    """For the routes of a server in demo mode. It is made to be asked for its document, and never started."""
    app = create_app(Settings(demo_login=True, database_url="sqlite:///never-opened.db"))
    return AnswerChecker(app.openapi())


def watch(patch: pytest.MonkeyPatch) -> list[str]:
    """Checks everything from now on. Complaints come into the list that is returned."""
    complaints: list[str] = []

    def note(complaint: str | None) -> None:
        if complaint is not None:
            complaints.append(complaint)

    received, sent = LabClient._note, LabClient.send_raw

    def check_received(self: LabClient, frame: Any, raw: str | bytes, now: int) -> None:
        note(CHECKER.complaint_about_received(frame))
        received(self, frame, raw, now)

    async def check_sent(self: LabClient, data: str | bytes) -> None:
        if isinstance(data, str):
            note(CHECKER.complaint_about_sent(data))
        await sent(self, data)

    async def check_answer(answer: httpx2.Response) -> None:
        await answer.aread()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        body = answer.json() if is_json and answer.content else None  # 204 has the type, and nothing of it
        note(answer_checker().complaint_about(answer.request.method, answer.url.path, answer.status_code, body))

    open_http, shared_http = Lab.http, LabPeople._http

    async def checking_http(self: Lab, user: str, *, instance: int = 0) -> httpx2.AsyncClient:
        client = await open_http(self, user, instance=instance)
        client.event_hooks = {"response": [check_answer]}
        return client

    def checking_shared_http(self: LabPeople, instance: int) -> httpx2.AsyncClient:
        client = shared_http(self, instance)
        client.event_hooks = {"response": [check_answer]}
        return client

    patch.setattr(Lab, "http", checking_http)
    patch.setattr(LabPeople, "_http", checking_shared_http)
    patch.setattr(LabClient, "_note", check_received)
    patch.setattr(LabClient, "send_raw", check_sent)
    return complaints
