"""The parts by which operators see one instance, put together. ``app.py`` has all the others."""

from typing import NamedTuple

from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.core.board_ports import Board
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.figures_source import FiguresSource
from reference_impl.core.instance_board import InstanceBoard
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.ports import Clock
from reference_impl.core.traffic import Traffic
from reference_impl.core.websocket_monitor import WebSocketMonitor
from reference_impl.model.chat_alerts import AlertThresholds
from reference_impl.model.health import HasHealth
from reference_impl.outside import alert_webhook_for
from reference_impl.parts import Parts
from reference_impl.services.alert_service import AlertService
from reference_impl.settings import Settings


class MonitorParts(NamedTuple):
    """What watches, what is done about it, and what the others are shown."""

    monitor: WebSocketMonitor
    alerts: AlertService
    board: InstanceBoard


def compose_monitor(
    parts: Parts,
    settings: Settings,
    *,
    clock: Clock,
    event_bus: EventBus,
    connections: DistributedConnectionManager,
    traffic: Traffic,
    relay: OutboxRelay,
    queues: list[MessageQueue],
    leans_on: list[HasHealth],
    board: Board,
) -> MonitorParts:
    """``leans_on``: the parts that say how they are."""
    make = parts.make
    alerts = make(
        "alert_service",
        AlertService,
        event_bus=event_bus,
        queue=MessageQueue(queue=MemoryWorkQueue(), worker=settings.instance_id, workers=1),
        webhook=make("alert_webhook", alert_webhook_for(settings)),
        instance_id=settings.instance_id,
        clock=clock,
    )
    monitor = make(
        "websocket_monitor",
        WebSocketMonitor,
        connection_manager=connections.connection_manager,
        traffic=traffic,
        relay=relay,
        queues=queues,
        parts=leans_on,
        announce=alerts.announce,
        thresholds=_thresholds(settings),
        interval_s=settings.monitor_interval_s,
    )
    source = make(
        "figures_source",
        FiguresSource,
        connections=connections,
        monitor=monitor,
        traffic=traffic,
        relay=relay,
        queues=queues,
        clock=clock,
    )
    shown = make(
        "instance_board",
        InstanceBoard,
        board=make("board", board),
        source=source,
        instance_id=settings.instance_id,
        clock=clock,
    )
    return MonitorParts(monitor, alerts, shown)


def _thresholds(settings: Settings) -> AlertThresholds:
    return AlertThresholds(
        connections=settings.alert_connections,
        error_rate=settings.alert_error_rate,
        dead_letters=settings.alert_dead_letters,
        slow_consumers=settings.alert_slow_consumers,
        outbox_lag_s=settings.alert_outbox_lag_s,
    )
