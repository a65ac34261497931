"""Who may look at the system as a whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx2
import pytest

from course.workbench.serve import local_secret, token
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import create_app
from reference_impl.services.authentication_service import AuthenticationService
from reference_impl.settings import Settings

SECRET = "a secret of this test's own, thirty-two bytes and more"


@asynccontextmanager
async def door(*, demo: bool) -> AsyncIterator[httpx2.AsyncClient]:
    """The HTTP side of an instance of its own."""
    app = create_app(Settings(secret_key=SECRET, demo_login=demo), store=MemoryStore())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        yield http


def a_token(*, is_operator: bool) -> str:
    service = AuthenticationService(secret_key=SECRET, clock=lambda: datetime.now(UTC))
    return service.issue_token("ann", is_operator=is_operator)[0]


async def test_in_demo_mode_anybody_may_look() -> None:
    """No token is needed, and one that means nothing does no harm."""
    async with door(demo=True) as http:
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/metrics", headers={"Authorization": "Bearer nonsense"})).status_code == 200


async def test_elsewhere_only_an_operator() -> None:
    """A scraper's bearer token, or a browser with the token as its password; a user is told that it is not for them."""
    async with door(demo=False) as http:
        operator, user = a_token(is_operator=True), a_token(is_operator=False)
        assert (await http.get("/metrics", headers={"Authorization": f"Bearer {operator}"})).status_code == 200
        assert (await http.get("/metrics", auth=("me", operator))).status_code == 200
        refused = await http.get("/metrics", headers={"Authorization": f"Bearer {user}"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert (await http.get("/metrics", auth=("me", user))).status_code == 403


@pytest.mark.parametrize(
    "header", [None, "Bearer nonsense", "Bearer", "Basic", "Basic !", "Basic bm86bm8=", "Digest x"]
)
async def test_a_browser_without_one_is_asked(header: str | None) -> None:
    """401 in the one shape of errors, with the challenge that makes a browser ask for a password."""
    async with door(demo=False) as http:
        answer = await http.get("/metrics", headers={"Authorization": header} if header else {})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_course_token_makes_operators_when_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only with ``--operator``; the role travels in the token and nowhere else."""
    monkeypatch.setenv("CHAT_SECRET_KEY", SECRET)
    service = AuthenticationService(secret_key=local_secret(), clock=lambda: datetime.now(UTC))
    assert service.verify_token(token("ann", None, 60, operator=True)).is_operator
    assert not service.verify_token(token("ann", "operator", 60)).is_operator
