"""Reads off what this instance shows of itself."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.ports import Clock
from reference_impl.core.traffic import Traffic
from reference_impl.core.websocket_monitor import WebSocketMonitor
from reference_impl.model.figures import POINTS, Alert, InstanceFigures
from reference_impl.model.health import readiness
from reference_impl.model.histogram import Histogram, quantile
from reference_impl.model.sliding_window import SlidingWindow

WINDOW_S = 10.0
"""Rates and durations on the page are those of this long: short enough to see what happens, long enough to read."""

CURVES = ("connections", "received_per_s", "sent_per_s", "errors_per_s", "commit_p95_s")


class FiguresSource:
    """Reads the parts' own counters, once a second, into one ``InstanceFigures``. Asks nobody and waits for nothing."""

    def __init__(
        self,
        *,
        connections: DistributedConnectionManager,
        monitor: WebSocketMonitor,
        traffic: Traffic,
        relay: OutboxRelay,
        queues: Sequence[MessageQueue],
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop_lag_s = 0.0
        """How late the event loop was at the last look: set by whoever has a timer."""
        self._connections = connections
        self._monitor = monitor
        self._traffic = traffic
        self._relay = relay
        self._queues = queues
        self._clock = clock
        self._now = now
        self._started_at = clock().timestamp()
        self._window = SlidingWindow(WINDOW_S)
        self._curves: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=POINTS))

    def note_silent(self, instances: int) -> None:
        """So many others are not heard of: the monitor alarms somebody."""
        self._monitor.silent_instances = instances

    def read(self) -> InstanceFigures:
        """Everything as of now, and a point more on each curve."""
        self._window.add(self._now(), self._totals())
        figures = self._traffic_figures() | self._backlog_figures()
        for name in CURVES:
            self._curves[name].append(round(figures[name] or 0.0, 4))
        parts = self._monitor.health()
        offset = self._clock().timestamp() - self._now()  # the monitor's clock has no date
        return InstanceFigures(
            instance_id=self._connections.instance_id,
            at=self._clock().timestamp(),
            started_at=self._started_at,
            status=readiness(parts, is_draining=self._connections.is_draining),
            now=figures,
            curves={name: list(curve) for name, curve in self._curves.items()},
            parts=parts,
            alerts=[
                Alert(
                    name=alert.rule.name,
                    text=alert.rule.text,
                    is_error=alert.rule.is_error,
                    value=alert.value,
                    since=alert.since + offset,
                )
                for alert in self._monitor.firing
            ],
        )

    def _traffic_figures(self) -> dict[str, float | None]:
        manager, rate = self._connections.connection_manager, self._window.per_second
        return {
            "connections": len(manager.index),
            "users": len(manager.connections_by_user),
            "conversations": len(self._connections.conversation_feeds),
            "total_connections": self._traffic.connections,
            "received_per_s": rate("received"),
            "sent_per_s": rate("sent"),
            "errors_per_s": rate("errors"),
            "error_rate": self._window.share("errors", "asked"),
            "commit_p95_s": self._p95("commit", self._traffic.commit_seconds),
            "publish_p95_s": self._p95("publish", self._traffic.publish_seconds),
            "loop_lag_s": self.loop_lag_s,
            "cpu": rate("cpu"),
        }

    def _backlog_figures(self) -> dict[str, float | None]:
        manager, sizes = self._connections.connection_manager, [queue.sizes for queue in self._queues]
        return {
            "outbox_frames": sum(len(connection.outbox) for connection in manager.index),
            "outbox_lag_s": self._relay.lag_s,
            "slow_consumers": manager.too_slow,
            "repaired": self._connections.conversation_feeds.repaired,
            "queue_waiting": sum(one.waiting + one.delayed for one in sizes),
            "queue_running": sum(one.running for one in sizes),
            "dead_letters": sum(one.dead for one in sizes),
        }

    def _totals(self) -> dict[str, float]:
        totals = self._monitor.totals() | {"cpu": time.process_time()}
        for name, histogram in (("commit", self._traffic.commit_seconds), ("publish", self._traffic.publish_seconds)):
            totals |= {f"{name} {number}": count for number, count in enumerate(histogram.counts)}
        return totals

    def _p95(self, name: str, histogram: Histogram) -> float | None:
        in_window = [self._window.increase(f"{name} {number}") for number in range(len(histogram.counts))]
        return quantile(in_window, 0.95, histogram.bounds)
