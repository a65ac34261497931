"""What the server says about itself, and who hears it."""

import json
import logging
import time
from typing import Any, cast

import httpx2
import pytest

from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import create_app
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.trace import HopRecorder
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.conversations import Conversation
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import Unavailable
from reference_impl.model.event_factories import (
    create_delivery_event,
    create_frame_event,
    create_system_error,
    create_system_notification,
    create_user_event,
)
from reference_impl.model.events import AIEvent, Audience, Event, EventTypes, Severity, SystemEvent
from reference_impl.services.audit_log import AuditLog
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.circuit_reports import report_circuit
from reference_impl.settings import Settings
from tests.fakes import NOON


class Sockets:
    """The connections, as far as broadcasting sees them: notes who would have got which frame."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ...]] = []
        self.text = ""
        self.is_away = False

    def _take(self, frame: EncodedFrame, *to: str) -> None:
        if self.is_away:
            raise Unavailable("Redis is away")
        self.text = frame.text
        self.sent.append(to)

    async def send_to_user(self, user_id: str, frame: EncodedFrame) -> None:
        self._take(frame, "user", user_id)

    async def send_to_conversation(self, conversation_id: str, frame: EncodedFrame) -> None:
        self._take(frame, "conversation", conversation_id)

    async def send_to_everybody(self, frame: EncodedFrame) -> None:
        self._take(frame, "everybody")

    def send_to_all_here(self, frame: EncodedFrame) -> None:
        self._take(frame, "here")


@pytest.fixture
def bus() -> EventBus:
    return EventBus(clock=lambda: NOON)


@pytest.fixture
def sockets() -> Sockets:
    return Sockets()


@pytest.fixture
def broadcasting(bus: EventBus, sockets: Sockets) -> BroadcastingService:
    nothing: Any = None
    return BroadcastingService(
        connection_manager=cast(DistributedConnectionManager, sockets),
        notification_service=nothing,
        event_bus=bus,
        relay=nothing,
        recorder=HopRecorder(),
        clock=lambda: NOON,
    )


def notification(audience: Audience, **about: Any) -> Event:
    return create_system_notification(
        "restarting", "back soon", source="test", timestamp=NOON, audience=audience, **about
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (notification(Audience.USER, user_id="ann"), [("user", "ann")]),
        (notification(Audience.CONVERSATION, conversation_id="c-1"), [("conversation", "c-1")]),
        (notification(Audience.INSTANCE), [("here",)]),
        (notification(Audience.EVERYBODY), [("everybody",)]),
        (notification(Audience.OPERATORS), []),
    ],
)
async def test_a_notification_goes_to_its_audience(
    bus: EventBus, sockets: Sockets, broadcasting: BroadcastingService, event: Event, expected: Any
) -> None:
    """As a ``system_notification`` frame; what is for operators reaches no user."""
    await bus.publish_async(event)
    assert sockets.sent == expected
    if expected:
        frame = json.loads(sockets.text)
        assert frame["action"] == "system_notification"
        assert frame["data"] == {"level": "info", "code": "restarting", "text": "back soon"}


async def test_a_notification_that_can_not_be_sent_is_counted(
    bus: EventBus, sockets: Sockets, broadcasting: BroadcastingService
) -> None:
    """It is in no store, so it is lost, and said to be."""
    sockets.is_away = True
    await bus.publish_async(notification(Audience.EVERYBODY))
    assert (broadcasting.lost_frames, bus.failures) == (1, 0)


@pytest.mark.parametrize("audience", [Audience.USER, Audience.CONVERSATION])
def test_a_notification_for_one_names_it(audience: Audience) -> None:
    """A notification for a user who is not named would go to nobody."""
    with pytest.raises(ValueError, match="must name it"):
        notification(audience)


def test_a_circuit_that_opens_is_told_once(bus: EventBus) -> None:
    """Its opening is an error, the probes are nobody's business, and its closing is told to the operators."""
    audit = AuditLog(event_bus=bus)
    breaker = CircuitBreaker(failure_threshold=2, cool_down_s=10)
    report_circuit(breaker, "push", event_bus=bus, clock=lambda: NOON)
    for now in (0, 1, 20):
        permit = breaker.admit(now)
        assert permit is not None
        breaker.failed(permit, now)
    permit = breaker.admit(40)
    assert permit is not None
    breaker.succeeded(permit, 40)
    assert audit.errors == {"circuit_opened": 1}, "a probe that fails is no news"
    assert [entry["code"] for entry in audit.recent] == ["circuit_opened", "circuit_closed"]


def test_the_audit_log_counts_and_keeps(bus: EventBus, caplog: pytest.LogCaptureFixture) -> None:
    """What is frequent is only counted, what is rare has a line and is kept, the oldest of it goes first."""
    audit = AuditLog(event_bus=bus, keep=3)
    answer = AIEvent(
        type=EventTypes.AI_RESPONSE_FAILED,
        timestamp=NOON,
        assistant_id="assistant",
        question_id="m-1",
        reason="timeout",
    )
    with caplog.at_level(logging.INFO):
        bus.publish(create_user_event(EventTypes.WS_CONNECT, "ann", timestamp=NOON, connection_id="k-1"))
        bus.publish(create_frame_event("text", "ann", "k-1", "c-1", timestamp=NOON))
        bus.publish(create_delivery_event("c-1", "m-1", 3, timestamp=NOON))
        bus.publish(answer)
        bus.publish(create_system_error("reader_failed", "reading failed", source="test", timestamp=NOON))
        bus.publish(create_user_event(EventTypes.WS_DISCONNECT, "ann", timestamp=NOON, connection_id="k-1"))
    assert (audit.frames, audit.delivered, audit.errors) == ({"text": 1}, 3, {"reader_failed": 1})
    assert [entry["type"] for entry in audit.recent] == ["ai_response_failed", "system_error", "ws_disconnect"]
    levels = {record.getMessage().split()[0].strip(":"): record.levelname for record in caplog.records}
    assert levels == {
        "ws_connect": "INFO", "ai_response_failed": "WARNING", "system_error": "ERROR", "ws_disconnect": "INFO"
    }  # fmt: skip
    assert audit.recent[1]["severity"] == Severity.ERROR


async def test_an_operator_speaks_to_everybody(bus: EventBus, caplog: pytest.LogCaptureFixture) -> None:
    """On every instance; nobody else may. Who spoke is in the log, what was said is not."""
    secret = "a secret of this test's own, thirty-two bytes and more"
    app = create_app(Settings(secret_key=secret), store=MemoryStore())
    said: list[SystemEvent] = []
    app.state.services.event_bus.subscribe(EventTypes.SYSTEM_NOTIFICATION, said.append)
    tokens = {
        role: app.state.services.authentication.issue_token(role, is_operator=role == "operator")[0]
        for role in ("operator", "user")
    }
    body = {"text": "maintenance tonight", "level": "warning"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        for role, status in (("user", 403), ("operator", 202)):
            headers = {"Authorization": f"Bearer {tokens[role]}"}
            answer = await http.post("/api/v1/operator/announcements", json=body, headers=headers)
            assert answer.status_code == status
        assert (await http.post("/api/v1/operator/announcements", json=body)).status_code == 401
    (event,) = said
    assert (event.audience, event.message, event.severity) == (Audience.EVERYBODY, "maintenance tonight", "warning")
    assert "maintenance" not in caplog.text


@pytest.mark.parametrize(("device_type", "reached"), [(None, "socket"), ("mobile", "push")])
async def test_an_operator_tells_one_user(device_type: str | None, reached: str) -> None:
    """On a device, of the kind that was asked for; where there is none, by one push. Nobody else may."""
    secret = "a secret of this test's own, thirty-two bytes and more"
    app = create_app(Settings(secret_key=secret), store=MemoryStore())
    chat = app.state.chat
    operator, _ = chat.services.authentication.issue_token("operator", is_operator=True)
    user, _ = chat.services.authentication.issue_token("user")
    await chat.connections.presence_manager.add_user_to_online("ann", "k-1", device_type="web")
    path, body = "/api/v1/operator/users/ann/notices", {"text": "your export is ready", "device_type": device_type}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        answer = await http.post(path, json=body, headers={"Authorization": f"Bearer {operator}"})
        assert (answer.status_code, answer.json()) == (202, {"reached": reached})
        refused = await http.post(path, json=body, headers={"Authorization": f"Bearer {user}"})
        assert refused.status_code == 403
    assert chat.notifications.queue.counts["enqueued"] == (reached == "push")


async def test_a_request_that_fails_is_told() -> None:
    """By its id, and with no word of what was asked; the client gets an answer all the same."""

    class Broken(MemoryStore):
        async def conversations_of(self, user_id: str) -> list[Conversation]:
            raise RuntimeError("a bug")

    app = create_app(Settings(demo_login=True), store=Broken())
    services = app.state.services
    errors: list[SystemEvent] = []
    services.event_bus.subscribe(EventTypes.SYSTEM_ERROR, errors.append)
    headers = {"Authorization": f"Bearer {services.authentication.issue_token('ann')[0]}"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        answer = await http.get("/api/v1/conversations", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_error")
    (error,) = errors
    assert (error.code, error.data) == ("request_failed", {"request_id": answer.headers["x-request-id"]})


async def test_the_assistant_s_health_is_among_the_parts() -> None:
    """While its service is down, the instance says so, and goes on."""
    app = create_app(Settings(demo_login=True), store=MemoryStore())
    breaker, states = app.state.chat.ai_service.breaker, []
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        for _ in range(2):
            answer = await http.get("/readyz")
            assert answer.status_code == 200
            states.append(answer.json()["components"]["ai"]["state"])
            for _ in range(breaker.failure_threshold):
                breaker.failed(breaker.admit(time.monotonic()) or 0, time.monotonic())
    assert states == ["ok", "away"]
