"""Every route, tried by nobody and by somebody it is not for. A new route has to say here who may use it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import create_app
from reference_impl.services.authentication_service import AuthenticationService
from reference_impl.settings import Settings

SECRET = "a secret of this test, long enough for the hash of any algorithm: sixty-four bytes"
FOR_ALL = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/asyncapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/docs/swagger-ui-bundle.js"),
    ("GET", "/docs/swagger-ui.css"),
    ("GET", "/api/v1/page-config"),
}
FOR_OPERATORS = {
    ("GET", "/metrics"),
    ("GET", "/monitor"),
    ("GET", "/api/v1/monitor"),
    ("POST", "/api/v1/operator/announcements"),
    ("POST", "/api/v1/operator/users/{user_id}/notices"),
    ("GET", "/api/v1/operator/bans"),
    ("POST", "/api/v1/operator/bans/{user_id}"),
    ("DELETE", "/api/v1/operator/bans/{user_id}"),
}
FOR_USERS = {  # about themselves
    ("POST", "/api/v1/auth/ticket"),
    ("POST", "/api/v1/auth/logout"),
    ("GET", "/api/v1/conversations"),
    ("POST", "/api/v1/conversations"),
    ("GET", "/api/v1/presence"),
    ("GET", "/api/v1/devices"),
}
FOR_PARTICIPANTS = {
    ("GET", "/api/v1/conversations/{conversation_id}"),
    ("POST", "/api/v1/conversations/{conversation_id}/participants"),
    ("DELETE", "/api/v1/conversations/{conversation_id}/participants/{user_id}"),
    ("POST", "/api/v1/conversations/{conversation_id}/messages"),
    ("GET", "/api/v1/conversations/{conversation_id}/messages"),
    ("POST", "/api/v1/conversations/{conversation_id}/read"),
}
BODIES: dict[str, Any] = {
    "messages": {"type": "text", "content": "hello"},
    "participants": {"user_id": "mallory"},
    "read": {"seq": 1},
    "conversations": {"title": "mine"},
    "announcements": {"text": "hello"},
    "notices": {"text": "hello"},
}
NOWHERE = "01a20a2e-0000-7000-8000-000000000000"


@pytest.fixture
def app() -> FastAPI:
    """Outside demo mode, as it is run for others."""
    return create_app(Settings(secret_key=SECRET), store=MemoryStore())


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        yield client


def issued(user: str, *, is_operator: bool = False) -> str:
    service = AuthenticationService(secret_key=SECRET, clock=lambda: datetime.now(UTC))
    return service.issue_token(user, is_operator=is_operator)[0]


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of everything that HTTP can reach, files apart."""
    found = set()
    for route in walk(app.routes):
        if isinstance(route, Route):
            found |= {(method, route.path) for method in (route.methods or set()) - {"HEAD"}}
    return found


def walk(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        yield route
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner.routes)


async def ask(http: httpx2.AsyncClient, method: str, path: str, token: str | None) -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = BODIES.get(path.rpartition("/")[2]) if method == "POST" else None
    return await http.request(method, path, headers=headers, json=body)


def test_every_route_says_whom_it_is_for(app: FastAPI) -> None:
    """A route that nobody has thought about fails here; so does one that is gone."""
    assert routes_of(app) - (FOR_ALL | FOR_OPERATORS | FOR_USERS | FOR_PARTICIPANTS) == set()
    assert (FOR_ALL | FOR_USERS | FOR_PARTICIPANTS) - routes_of(app) == set()


def bad_tokens() -> dict[str, str | None]:
    claims = {"sub": "ann", "aud": "breakwire", "iss": "breakwire", "exp": datetime.now(UTC) + timedelta(hours=1)}
    rsa_like = jwt.encode(claims, SECRET, "HS256").split(".")
    rsa_like[0] = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"  # says RS256
    return {
        "none": None,
        "empty": "",
        "nonsense": "nonsense",
        "another secret": jwt.encode(claims, "x" * 32, "HS256"),
        "algorithm none": jwt.encode(claims, None, "none"),
        "another algorithm": jwt.encode(claims, SECRET * 2, "HS512"),
        "our secret, another algorithm": jwt.encode(claims, SECRET, "HS512"),
        "says RS256": ".".join(rsa_like),
        "expired": jwt.encode(claims | {"exp": datetime.now(UTC) - timedelta(seconds=1)}, SECRET, "HS256"),
        "another audience": jwt.encode(claims | {"aud": "other"}, SECRET, "HS256"),
        "another issuer": jwt.encode(claims | {"iss": "other"}, SECRET, "HS256"),
        "for ever": jwt.encode({name: claims[name] for name in ("sub", "aud", "iss")}, SECRET, "HS256"),
    }


@pytest.mark.parametrize("kind", bad_tokens())
async def test_nobody_gets_anywhere(app: FastAPI, http: httpx2.AsyncClient, kind: str) -> None:
    """401 on each route that is not for all, in the one shape, whatever is wrong with the token."""
    token = bad_tokens()[kind]
    for method, path in sorted(routes_of(app) - FOR_ALL):
        answer = await ask(http, method, path.format(conversation_id=NOWHERE, user_id="ann"), token)
        assert (method, path, answer.status_code) == (method, path, 401)
        assert answer.json()["error"]["code"] == "unauthenticated"


async def test_a_stranger_can_not_tell_what_exists(app: FastAPI, http: httpx2.AsyncClient) -> None:
    """The same answer, to the letter, for a conversation of others and for one that is not there."""
    ann, mallory = issued("ann"), issued("mallory")
    made = await http.post("/api/v1/conversations", json={"title": "ours"}, headers={"Authorization": f"Bearer {ann}"})
    for method, path in sorted(FOR_PARTICIPANTS):
        answers = []
        for conversation in (made.json()["id"], NOWHERE, "no-id-at-all"):
            answer = await ask(http, method, path.format(conversation_id=conversation, user_id="ann"), mallory)
            error = answer.json()["error"]
            del error["request_id"]
            answers.append((answer.status_code, error))
        assert answers == [(403, {"code": "forbidden", "message": "not a participant of this conversation"})] * 3, path


async def test_a_user_is_no_operator(app: FastAPI, http: httpx2.AsyncClient) -> None:
    """403, also for whom they name does not matter; an operator gets in."""
    for method, path in sorted(routes_of(app) & FOR_OPERATORS):
        answer = await ask(http, method, path.format(user_id="ann"), issued("ann"))
        assert (path, answer.status_code, answer.json()["error"]["code"]) == (path, 403, "forbidden")
    assert (await ask(http, "GET", "/api/v1/operator/bans", issued("root", is_operator=True))).status_code == 200


async def test_presence_says_nothing_of_strangers(http: httpx2.AsyncClient) -> None:
    """Neither whether they are online nor whether they exist."""
    answer = await ask(http, "GET", "/api/v1/presence?user_ids=ann,nobody,mallory", issued("mallory"))
    assert answer.json() == {"mallory": False}


async def test_every_answer_has_the_headers_that_keep_browsers_careful(http: httpx2.AsyncClient) -> None:
    """Good answers and bad ones, with a body or without; what the API says is for no cache."""
    for path in ("/healthz", "/nowhere", "/metrics", "/", "/docs", "/api/v1/conversations"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("origin", ["null", "http://test:8080", "http://test.evil.example", "https://test"])
async def test_pages_from_elsewhere_get_nothing(http: httpx2.AsyncClient, origin: str) -> None:
    """Not even a preflight; our own page does, without a word about cookies."""
    for method, path in (("GET", "/healthz"), ("POST", "/api/v1/conversations"), ("OPTIONS", "/api/v1/conversations")):
        answer = await http.request(
            method, path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}, json={"title": "x"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in answer.headers
    own = await http.get("/healthz", headers={"Origin": "http://test"})
    assert own.status_code == 200
    assert "access-control-allow-credentials" not in own.headers


async def chunks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_is_too_large_is_refused_unread(http: httpx2.AsyncClient, chunked: bool) -> None:
    """Whether it says its size or not, before anybody asks what is in it, and before anybody asks who sends it."""
    content: Any = chunks(10, 64 * 1024) if chunked else b"x" * 640 * 1024
    answer = await http.post("/api/v1/conversations", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_a_body_that_does_not_come_is_not_waited_for(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408, and the connection ends."""
    monkeypatch.setattr("reference_impl.api.guards.BODY_DEADLINE_S", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await http.post("/api/v1/conversations", content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")
    assert answer.headers["connection"] == "close"
