"""What operators and process managers are told."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import create_app
from reference_impl.core.queue_ports import Webhook
from reference_impl.model.health import Health, HealthState
from reference_impl.settings import Settings
from tests.fakes import until


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


async def test_metrics_in_the_form_that_prometheus_expects(app: FastAPI, http: httpx2.AsyncClient) -> None:
    """Counters end in ``_total``, times are in seconds, and no label names a user or a conversation."""
    app.state.services.traffic.closed |= {1000: 1, 4001: 1, 3210: 1, 4999: 2}
    await http.get("/nowhere")
    families = {one.name: one for one in text_string_to_metric_families((await http.get("/metrics")).text)}
    assert all(
        sample.name.endswith("_total") for one in families.values() if one.type == "counter" for sample in one.samples
    )
    ours = [one for name, one in families.items() if name.startswith("chat_")]
    labels = {label for one in ours for sample in one.samples for label in sample.labels}
    assert labels <= {"code", "status", "type", "part", "state", "alert", "limit", "le"}
    assert {one.name for one in ours if one.type == "histogram"} == {
        "chat_frame_seconds", "chat_commit_seconds", "chat_publish_seconds", "chat_http_request_seconds"
    }  # fmt: skip
    [refused] = [one for one in families["chat_http_requests"].samples if one.labels == {"status": "404"}]
    assert refused.value == 1
    assert families["chat_errors"].samples[0].labels == {"code": "not_found"}
    closed = {one.labels["code"]: one.value for one in families["chat_connections_closed"].samples}
    assert closed == {"1000": 1, "4001": 1, "other": 3}, "a client can not make up series"


async def test_all_instances_as_json(http: httpx2.AsyncClient) -> None:
    """What the monitor page asks: this instance is there from the start, with its figures, curves and parts."""
    answer = (await http.get("/api/v1/monitor")).json()
    [shown] = answer["instances"]
    assert shown["instance_id"] == answer["instance_id"]
    assert (shown["status"], shown["now"]["connections"], shown["alerts"]) == ("ready", 0, [])
    assert {part["part"] for part in shown["parts"]} >= {"store", "broker", "push", "ai"}
    assert all(len(curve) == len(shown["curves"]["connections"]) for curve in shown["curves"].values())


async def test_who_watches_is_no_traffic(
    app: FastAPI, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Health checks and a monitor page ask every second: they fill no log and dilute no share of errors."""
    traffic = app.state.services.traffic
    with caplog.at_level(logging.INFO):
        for path in ("/healthz", "/readyz", "/metrics", "/api/v1/monitor?since=1"):
            assert (await http.get(path)).status_code == 200
        assert (traffic.asked, traffic.request_seconds.sum) == (0, 0)
        assert [record for record in caplog.records if record.name == "reference_impl.api.requests"] == []
        await http.get("/nowhere")
    assert traffic.requests == {404: 1}
    assert "GET /nowhere 404" in caplog.text


class Pager(Webhook):
    """The operators' endpoint."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []

    async def post(self, body: bytes, *, idempotency_key: str) -> None:
        self.notes.append(json.loads(body))

    async def stop(self) -> None:
        pass


async def test_an_alert_reaches_the_operators() -> None:
    """The push provider is away: a running instance posts to the endpoint, and its page shows the alert."""
    pager = Pager()
    settings = Settings(demo_login=True, monitor_interval_s=0.01)
    app = create_app(settings, store=MemoryStore(), push_provider=PushIsAway, alert_webhook=pager)
    async with app.router.lifespan_context(app):
        await until(lambda: pager.notes)
        shown = app.state.services.board._source.read().alerts
    assert (pager.notes[0]["alert"], pager.notes[0]["state"]) == ("push_away", "firing")
    assert [alert.name for alert in shown] == ["push_away"]
