"""What operators and process managers are told."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import create_app
from reference_impl.model.health import Health, HealthState
from reference_impl.settings import Settings


class PushIsAway(ConsolePushProvider):
    """A provider whose circuit is open."""

    def health(self) -> Health:
        return Health("push", HealthState.AWAY, "it does not answer")


@pytest.fixture
async def app(request: pytest.FixtureRequest) -> AsyncIterator[FastAPI]:
    """One running instance without a network; ``overrides`` replace its parts."""
    overrides: dict[str, Any] = getattr(request, "param", {})
    made = create_app(Settings(demo_login=True), store=MemoryStore(), **overrides)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_ready(http: httpx2.AsyncClient) -> None:
    """Each part that the instance leans on, by name, and one word for all."""
    answer = (await http.get("/readyz")).json()
    assert answer["status"] == "ready"
    assert {"store", "broker", "push"} <= answer["components"].keys()
    assert {part["state"] for part in answer["components"].values()} == {"ok"}


@pytest.mark.parametrize("app", [{"push_provider": PushIsAway}], indirect=True)
async def test_degraded(http: httpx2.AsyncClient) -> None:
    """A part that is away is named with the reason, and users still come: 200. The metrics say the same."""
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["components"]["push"] == {"state": "away", "detail": "it does not answer"}
    metrics = (await http.get("/metrics")).text
    assert 'chat_part_state{part="push",state="away"} 1.0' in metrics
    assert 'chat_part_state{part="push",state="ok"} 0.0' in metrics


async def test_draining(app: FastAPI, http: httpx2.AsyncClient) -> None:
    """An instance that is going away says so with 503: a load balancer sends nobody here."""
    await app.state.chat.drain()
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert (await http.get("/healthz")).status_code == 200
