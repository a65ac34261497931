"""Holds every frame and every answer that the tests' lab clients see against the published documents.

``watch`` hooks itself into ``LabClient`` and ``Lab``. What does not fit is noted; the fixture in ``conftest.py``
fails the test in which it came. The schemas are taken as closed here: a field that is not documented does not fit.
"""

import copy
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from course.workbench.client import LabClient
from reference_impl.api.asyncapi import asyncapi_document
from reference_impl.model.errors import BadJson, Invalid, UnknownType
from reference_impl.model.frame_schemas import client_frame_name, server_frame_name
from reference_impl.model.frames import CLIENT_FRAMES, parse_client_frame
from reference_impl.model.server_frames import SERVER_FRAMES

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

    patch.setattr(LabClient, "_note", check_received)
    patch.setattr(LabClient, "send_raw", check_sent)
    return complaints
