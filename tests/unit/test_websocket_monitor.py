"""The monitor of one instance: what it measures, and what it does when something is wrong."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import Webhook
from reference_impl.core.traffic import Traffic
from reference_impl.core.websocket_monitor import WebSocketMonitor
from reference_impl.model.alert_rules import AlertAction, AlertChange, AlertRule
from reference_impl.model.chat_alerts import AlertThresholds
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import EventTypes, SystemEvent
from reference_impl.model.health import Health, HealthState
from reference_impl.model.jobs import QueueSizes
from reference_impl.services.alert_service import AlertService
from reference_impl.services.audit_log import AuditLog
from tests.fakes import NOON, FakeTransport, connection_manager, until


class Outside:
    """What the monitor looks at, for a test to change."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.traffic = Traffic()
        self.connections = connection_manager(traffic=self.traffic, max_connections=4)
        self.queue = MessageQueue(queue=MemoryWorkQueue(), worker="test")
        self.lag_s = 0.0
        self.broker = Health("broker")
        self.announced: list[tuple[str, bool]] = []

    def health(self) -> Health:
        return self.broker

    async def announce(self, change: AlertChange) -> None:
        self.announced.append((change.rule.name, change.is_firing))

    def monitor(self, **options: Any) -> WebSocketMonitor:
        return WebSocketMonitor(
            connection_manager=self.connections,
            traffic=self.traffic,
            relay=cast(Any, self),  # of which it only reads lag_s
            queues=[self.queue],
            parts=[self],
            announce=self.announce,
            now=lambda: self.now,
            **options,
        )

    async def sample(self, monitor: WebSocketMonitor, times: int = 1) -> list[tuple[str, bool]]:
        """Lets a minute pass, looks, and returns what was announced at it."""
        self.announced = []
        for _ in range(times):
            self.now += 60
            monitor.collect_metrics()
            await monitor.check_alerts()
        return self.announced


@pytest.fixture
def outside() -> Outside:
    return Outside()


async def test_metrics(outside: Outside) -> None:
    """Connections in all and now, frames both ways, errors, and rates since the last sample, not since the start."""
    monitor = outside.monitor()
    transport = FakeTransport()
    first = await outside.connections.connect("alice", transport)
    await outside.connections.disconnect(first)
    second = await outside.connections.connect("alice", FakeTransport())
    outside.traffic.received, outside.traffic.sent, outside.traffic.errors["invalid"] = 3000, 6000, 30
    outside.now += 60
    assert monitor.collect_metrics() == {
        "total_connections": 2,
        "active_connections": 1,
        "messages_sent": 6000,
        "messages_received": 3000,
        "errors_count": 30,
        "messages_per_second": 150,
        "error_rate": 0.01,
        "uptime_s": 60,
    }
    outside.now += 60
    idle = monitor.collect_metrics()
    assert (idle["messages_per_second"], idle["error_rate"]) == (0, None)
    assert outside.traffic.closed == {1006: 1}
    await outside.connections.disconnect(second)


async def test_errors_fire_stay_and_are_over(outside: Outside) -> None:
    """Above one percent in two samples it fires, once; when it is well again twice, it is over."""
    monitor = outside.monitor()

    async def minute(errors: int) -> list[tuple[str, bool]]:
        outside.traffic.received += 1000
        outside.traffic.errors["unavailable"] += errors
        return await outside.sample(monitor)

    assert [await minute(errors) for errors in (0, 50, 50, 50, 8, 0, 0)] == [
        [], [], [("error_rate", True)], [], [], [], [("error_rate", False)]
    ]  # fmt: skip
    assert await minute(999) == []


async def test_each_trouble_has_its_alert(outside: Outside) -> None:
    """Too many connections, an instance that fills up, slow readers, a late outbox, dead letters, a part away."""
    thresholds = AlertThresholds(connections=3, slow_consumers=5)
    monitor = outside.monitor(thresholds=thresholds)
    assert await outside.sample(monitor, 3) == []
    open_ones = [await outside.connections.connect("alice", FakeTransport()) for _ in range(4)]
    outside.lag_s = 11
    outside.queue.sizes = QueueSizes(0, 0, 0, 1)
    outside.broker = Health("broker", HealthState.DEGRADED)
    outside.connections.too_slow = 6
    assert await outside.sample(monitor) == []
    outside.connections.too_slow = 12
    names = {"connections", "instance_full", "slow_consumers", "outbox_lag", "dead_letters", "broker_away"}
    assert set(await outside.sample(monitor)) == {(name, True) for name in names}
    assert {alert.rule.name for alert in monitor.firing} == names
    outside.lag_s, outside.queue.sizes, outside.broker = 0, QueueSizes(9, 9, 9, 0), Health("broker")
    for connection_id in open_ones:
        await outside.connections.disconnect(connection_id)
    assert set(await outside.sample(monitor, 2)) == {(name, False) for name in names}
    assert monitor.firing == []


async def test_an_instance_that_went_silent(outside: Outside) -> None:
    """One sample is enough to say so, and one to say that it is back or forgotten."""
    monitor = outside.monitor()
    monitor.silent_instances = 1
    assert await outside.sample(monitor) == [("instance_gone", True)]
    monitor.silent_instances = 0
    assert await outside.sample(monitor) == [("instance_gone", False)]


async def test_samples_by_itself(outside: Outside) -> None:
    """Once started it goes on, also after a sample that failed, until it is stopped; a second stop is no error."""
    failing = [True]

    async def announce(change: AlertChange) -> None:
        if failing:
            raise RuntimeError(failing.pop())
        await Outside.announce(outside, change)

    outside.announce = announce  # type: ignore[method-assign]
    monitor = outside.monitor(interval_s=0.001)
    outside.broker = Health("broker", HealthState.AWAY)
    await monitor.start()
    await until(lambda: not failing)
    outside.broker = Health("broker")
    await until(lambda: ("broker_away", False) in outside.announced)
    await monitor.stop()
    await monitor.stop()


class NotingWebhook(Webhook):
    """Fails as often as it is told, and notes what arrives."""

    def __init__(self) -> None:
        self.failures = 2
        self.posts: list[tuple[dict[str, Any], str]] = []

    async def post(self, body: bytes, *, idempotency_key: str) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("not now")
        self.posts.append((json.loads(body), idempotency_key))

    async def stop(self) -> None:
        pass


class Alarmed:
    """An alert service, and what it did."""

    def __init__(self) -> None:
        self.webhook = NotingWebhook()
        self.events: list[SystemEvent] = []
        bus = EventBus()
        AuditLog(event_bus=bus)
        for event_type in (EventTypes.SYSTEM_ERROR, EventTypes.SYSTEM_NOTIFICATION):
            bus.subscribe(event_type, self.events.append)
        queue = MessageQueue(queue=MemoryWorkQueue(), worker="i-test", workers=1, delay_s=lambda _: 0.001)
        self.service = AlertService(
            event_bus=bus, queue=queue, webhook=self.webhook, instance_id="i-test", clock=lambda: NOON
        )


@pytest.fixture
async def alarmed() -> AsyncIterator[Alarmed]:
    made = Alarmed()
    await made.service.start()
    yield made
    await made.service.stop(1)


def change(*, is_firing: bool, **rule: Any) -> AlertChange:
    made = AlertRule(name="error_rate", text="too many errors", threshold=0.01, clear_at=0, **rule)
    return AlertChange(made, is_firing=is_firing, value=0.5, since=10, at=70)


async def test_an_alert_is_logged_published_and_posted(alarmed: Alarmed, caplog: pytest.LogCaptureFixture) -> None:
    """A line for people, an event for other parts, and a call of the endpoint that is repeated until it succeeds."""
    await alarmed.service.announce(change(is_firing=True))
    await until(lambda: alarmed.webhook.posts)
    [(note, key)] = alarmed.webhook.posts
    assert (note["alert"], note["state"], note["value"], note["instance_id"]) == ("error_rate", "firing", 0.5, "i-test")
    assert key.startswith("alert:i-test:error_rate:firing:")
    assert [event.type for event in alarmed.events] == [EventTypes.SYSTEM_ERROR]
    assert alarmed.events[0].code == "alert_error_rate"
    [line] = [record for record in caplog.records if "too many errors" in record.getMessage()]
    assert line.levelno == logging.ERROR
    await alarmed.service.announce(change(is_firing=False))
    assert alarmed.events[-1].type == EventTypes.SYSTEM_NOTIFICATION
    await until(lambda: len(alarmed.webhook.posts) == 2)
    assert alarmed.webhook.posts[1][0]["state"] == "over"


async def test_only_what_the_rule_asks_for(alarmed: Alarmed, caplog: pytest.LogCaptureFixture) -> None:
    """A rule may say that a line in the log is enough."""
    await alarmed.service.announce(change(is_firing=True, actions=frozenset({AlertAction.LOG}), is_error=False))
    await alarmed.service.announce(change(is_firing=True, actions=frozenset({AlertAction.EVENT}), is_error=False))
    await asyncio.sleep(0)
    assert [event.type for event in alarmed.events] == [EventTypes.SYSTEM_NOTIFICATION]
    assert alarmed.webhook.posts == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


async def test_without_a_webhook() -> None:
    """Nobody is to be called: nothing waits, and stopping what was not started is no error."""
    service = AlertService(
        event_bus=EventBus(),
        queue=MessageQueue(queue=MemoryWorkQueue(), worker="i-test"),
        webhook=None,
        instance_id="i-test",
        clock=lambda: NOON,
    )
    await service.start()
    await service.announce(change(is_firing=True))
    await service.stop(1)
