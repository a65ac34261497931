"""Every route, tried with generated requests: it answers as ``/openapi.json`` says, whatever comes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.python.asgi import get_client, shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance

from reference_impl.app import create_app
from reference_impl.settings import Settings

BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SECRET = "a secret of the fuzzer's, long enough to be one"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """One instance, alone, in this process."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    made = create_app(
        Settings(
            secret_key=SECRET,
            demo_login=True,
            database_url=f"sqlite:///{folder / 'chat.db'}",
            rate_limit_max_messages=1_000_000,
        )
    )
    yield made
    shutdown_lifespans()


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Any:
    loaded = schemathesis.openapi.from_asgi("/openapi.json", app)
    # Who asks is said below. A request whose token was left out by the fuzzer would get one there, and be a good one.
    loaded.config.generation.update(with_security_parameters=False)
    return loaded


def headers_of(app: Any, caller: str) -> dict[str, str]:
    """What a caller sends: nobody, somebody, an operator, or somebody with a token that is none. Never the same token
    twice: one of the routes ends it."""
    if caller == "nobody":
        return {}
    issue = app.state.services.authentication.issue_token
    token = "x.y.z" if caller == "forger" else issue(caller, is_operator=caller == "operator")[0]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def conversation_id(app: Any, document: Any) -> str:
    """One that alice and the operator are in, so that not every request ends at the door."""
    with get_client(app) as client:
        body = {"title": "fuzz", "participant_ids": ["operator"]}
        answer = client.post("/api/v1/conversations", json=body, headers=headers_of(app, "alice"))
    return str(answer.json()["id"])


@pytest.mark.parametrize("caller", ["nobody", "alice", "operator", "forger"])
def test_every_answer_is_a_documented_one(caller: str, app: FastAPI, document: Any, conversation_id: str) -> None:
    """No 5xx, no undocumented status, and every body has its documented form: whoever asks, whatever is sent."""
    for operation in (found.ok() for found in document.get_all_operations()):
        ask(operation, app, caller, conversation_id)


def ask(operation: Any, app: FastAPI, caller: str, conversation_id: str) -> None:
    """Good and bad requests to one route."""
    # What content fits depends on its type, and the model says so in words: the document can not.
    excluded = [positive_data_acceptance] if operation.path.endswith("/messages") else []
    good, bad = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @BOUNDED
    @given(case=good | bad, is_real=st.booleans())
    def ask_once(case: Any, is_real: bool) -> None:
        if is_real and "conversation_id" in (case.path_parameters or {}):
            case.path_parameters["conversation_id"] = conversation_id
        case.call_and_validate(headers=headers_of(app, caller), excluded_checks=excluded)

    ask_once()
