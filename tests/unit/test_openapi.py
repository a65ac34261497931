"""The OpenAPI document: every route says what it takes, what it answers, and who may ask."""

from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from reference_impl.api.schemas import ConversationCreateRequest, TokenRequest
from reference_impl.app import create_app
from reference_impl.settings import Settings
from tests.frame_check import AnswerChecker

METHODS = ("get", "post", "put", "patch", "delete")


def document(*, demo: bool) -> Any:
    settings = Settings(secret_key="x" * 32, demo_login=demo, database_url="sqlite:///never-opened.db")
    return create_app(settings).openapi()


def operations(openapi: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_explained() -> None:
    """Under a known tag, with words, and with errors in the one shape."""
    openapi = document(demo=True)
    tags = {tag["name"] for tag in openapi["tags"]}
    for name, operation in operations(openapi).items():
        assert operation.get("description"), name
        assert set(operation["tags"]) <= tags, name
        assert "500" in operation["responses"], name
        for status, answer in operation["responses"].items():
            if status.startswith("4"):
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (name, status)
    assert "HTTPValidationError" not in openapi["components"]["schemas"], "the framework's shape is never sent"


def test_who_may_ask_is_said() -> None:
    """All of the API wants a token but for signing in; what anybody may see in demo mode is for operators elsewhere."""
    demo, strict = operations(document(demo=True)), operations(document(demo=False))
    open_routes = {name for name, operation in strict.items() if "security" not in operation}
    assert all("/api/v1/" not in name or "page-config" in name for name in open_routes), open_routes
    for name in ("GET /metrics", "GET /api/v1/monitor"):
        assert {} in demo[name]["security"]
        assert {} not in strict[name]["security"]
    assert "POST /api/v1/auth/token" in demo.keys() - strict.keys()


def test_requests_have_examples() -> None:
    """A reader sees what to send."""
    schemas = document(demo=True)["components"]["schemas"]
    for name in ("TokenRequest", "ConversationCreateRequest", "ParticipantRequest", "MessageCreateRequest"):
        assert "examples" in str(schemas[name]), name


@pytest.mark.parametrize(
    "text", ["tea", "two\nlines", "ends\n", "\u00e9 \U0001f600", "", "x" * 201, "te\0a", "\0", "tea\n\0"]
)
@pytest.mark.parametrize("model", [ConversationCreateRequest, TokenRequest])
def test_what_the_document_takes_is_taken(model: type[BaseModel], text: str) -> None:
    """Names that people see: what is too long or holds a NUL is refused by both, and nothing by one alone."""
    body = {"title": text} if model is ConversationCreateRequest else {"user_id": "alice", "display_name": text}
    try:
        model.model_validate(body)
        is_taken = True
    except ValidationError:
        is_taken = False
    assert jsonschema.Draft202012Validator(model.model_json_schema()).is_valid(body) == is_taken


@pytest.mark.parametrize(
    ("status", "body", "wrong"),
    [
        (200, [], None),
        (200, [{"id": 7}], "is a required property"),
        (401, {"error": {"code": "c", "message": "m", "request_id": "r"}}, None),
        (401, {"detail": "no"}, "'error' is a required property"),
        (418, None, "not documented"),
    ],
)
def test_the_check_of_all_tests_answers_sees_what_does_not_fit(status: int, body: Any, wrong: str | None) -> None:
    """An undocumented status, a body of another form: each is a complaint."""
    complaint = AnswerChecker(document(demo=True)).complaint_about("GET", "/api/v1/conversations", status, body)
    assert (complaint is None) == (wrong is None)
    assert wrong is None or wrong in (complaint or "")
