"""The AsyncAPI document: valid, complete, and true."""

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from reference_impl.api.asyncapi import asyncapi_document, close_codes
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.descriptions import field_descriptions
from reference_impl.model.frame_examples import client_examples, server_examples
from reference_impl.model.frames import CLIENT_FRAMES, parse_client_frame
from reference_impl.model.server_frames import SERVER_FRAMES
from tests.frame_check import ASYNCAPI, CHECKER

OFFICIAL = Path(__file__).parent / "data" / "asyncapi-3.0.0.json.gz"
"""The AsyncAPI Initiative's own schema (Apache-2.0), as the npm package @asyncapi/specs 6.11.1 has it."""


@cache
def official() -> Any:
    schema = json.loads(gzip.decompress(OFFICIAL.read_bytes()))
    return jsonschema.validators.validator_for(schema)(schema)


def test_it_is_a_valid_document() -> None:
    """By the official schema of AsyncAPI 3.0; and that schema is no rubber stamp."""
    official().validate(ASYNCAPI)
    broken = json.loads(json.dumps(ASYNCAPI))
    broken["operations"]["device.send"]["action"] = "publish"
    assert not official().is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    """No dangling ``$ref``, in whatever depth."""
    refs = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(ASYNCAPI)))
    assert refs
    for ref in refs:
        found: Any = ASYNCAPI
        for part in ref.split("/"):
            found = found[part]


def test_all_schemas_are_schemas() -> None:
    """Each is a JSON Schema in itself."""
    for schema in ASYNCAPI["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_frame_is_in_it_with_an_example_that_fits() -> None:
    """All that the server sends and takes, on both channels; the examples are frames that it would send or take."""
    wanted = {f"client.{name}" for name in CLIENT_FRAMES} | {f"server.{action}" for action in SERVER_FRAMES}
    assert set(ASYNCAPI["components"]["messages"]) == wanted
    for channel in ASYNCAPI["channels"].values():
        assert set(channel["messages"]) == wanted
    assert client_examples().keys() == CLIENT_FRAMES.keys()
    assert server_examples().keys() == SERVER_FRAMES.keys()
    for name, frame in client_examples().items():
        raw = json.dumps(frame)
        assert CHECKER.complaint_about_sent(raw) is None
        assert isinstance(parse_client_frame(raw), CLIENT_FRAMES[name])
    for frame in server_examples().values():
        assert CHECKER.complaint_about_received(frame) is None


def test_everything_sent_is_in_an_operation() -> None:
    """From the server's side: what clients send it receives, the rest it sends."""
    by_action: dict[str, set[str]] = {"send": set(), "receive": set()}
    for operation in ASYNCAPI["operations"].values():
        by_action[operation["action"]] |= {message["$ref"].rpartition("/")[2] for message in operation["messages"]}
    assert by_action["receive"] == {f"client.{name}" for name in CLIENT_FRAMES}
    assert by_action["send"] == {f"server.{action}" for action in SERVER_FRAMES}


def test_every_close_code_is_explained() -> None:
    """Each with its meaning, in words, and what to do next."""
    codes = {one["code"]: one for one in close_codes()}
    assert codes.keys() == {code.value for code in CloseCode}
    assert field_descriptions(CloseCode).keys() == {code.name for code in CloseCode}
    assert (codes[4001]["reconnect"], codes[4003]["reconnect"]) == ("with_new_token", "no")


def test_a_token_in_the_url_is_documented_only_where_it_is_allowed() -> None:
    """What is off is not advertised; TLS shows in the protocol."""

    def document(*, allowed: bool) -> dict[str, Any]:
        return asyncapi_document(
            host="chat.example", is_secure=True, version="1", query_token_allowed=allowed, max_frame_bytes=1
        )

    assert "query" in document(allowed=True)["components"]["securitySchemes"]
    strict = document(allowed=False)
    assert "query" not in strict["components"]["securitySchemes"]
    assert len(strict["servers"]["this"]["security"]) == 4
    assert strict["servers"]["this"]["protocol"] == "wss"
    official().validate(strict)


@pytest.mark.parametrize(
    "change",
    [
        {"action": "shout"},
        {"timestamp": "yesterday"},
        {"data": {"user_id": "bob", "is_typing": "yes"}},
        {"data": {"user_id": "bob"}},
        {"data": {"user_id": "bob", "is_typing": True, "mood": "good"}},
        {"conversation_id": 7},
    ],
)
def test_the_check_of_all_tests_frames_sees_what_does_not_fit(change: dict[str, Any]) -> None:
    """Wrong action, type, time, a missing and an undocumented field: each is a complaint."""
    frame = server_examples()["typing"]
    assert CHECKER.complaint_about_received(frame) is None
    assert CHECKER.complaint_about_received(frame | change) is not None
