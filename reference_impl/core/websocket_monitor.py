"""Watches one instance: figures, rates, and alerts that fire, stay and are over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.traffic import Traffic
from reference_impl.model.alert_rules import AlertBook, AlertChange, AlertRule
from reference_impl.model.chat_alerts import MIN_ASKED, AlertThresholds, chat_alerts
from reference_impl.model.health import HasHealth, Health
from reference_impl.model.sliding_window import SlidingWindow

logger = logging.getLogger(__name__)

Announce = Callable[[AlertChange], Awaitable[None]]


class WebSocketMonitor:
    """Takes a sample every ``interval_s`` seconds: notes it, logs it, and looks whether it alarms somebody.

    Rates and shares are those since the last sample. The parts count for themselves, all the time; between samples
    this costs nothing.
    """

    def __init__(
        self,
        *,
        connection_manager: ConnectionManager,
        traffic: Traffic,
        relay: OutboxRelay,
        queues: Sequence[MessageQueue],
        parts: Sequence[HasHealth],
        announce: Announce,
        thresholds: AlertThresholds | None = None,
        interval_s: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics: dict[str, float | None] = {}
        """Of the last sample. ``error_rate`` is None when too little was asked for to say."""
        self.interval_s = interval_s
        self.silent_instances = 0
        """Others that nothing is heard of: set by whoever hears them."""
        self._connections = connection_manager
        self._traffic = traffic
        self._relay = relay
        self._queues = queues
        self._parts = parts
        self._announce = announce
        self._now = now
        self._started = now()
        self._window = SlidingWindow(interval_s)
        self._alerts = AlertBook(chat_alerts(thresholds or AlertThresholds(), [one.part for one in self.health()]))
        self._task: asyncio.Task[None] | None = None
        self.collect_metrics()

    async def start(self) -> None:
        """Begins to sample."""
        self._task = asyncio.create_task(self._sample_forever(), name="websocket monitor")

    async def stop(self) -> None:
        """Ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def health(self) -> list[Health]:
        """How each part is now: what ``/readyz``, the metrics and the pages show."""
        return [part.health() for part in self._parts]

    @property
    def uptime_s(self) -> float:
        """Since it was made."""
        return self._now() - self._started

    @property
    def rules(self) -> list[AlertRule]:
        """All that may fire."""
        return self._alerts.rules

    @property
    def firing(self) -> list[AlertChange]:
        """The alerts that fire now."""
        return self._alerts.firing

    def totals(self) -> dict[str, float]:
        """What only ever grows, as of now."""
        traffic = self._traffic
        return {
            "connections": traffic.connections,
            "received": traffic.received,
            "sent": traffic.sent,
            "asked": traffic.asked,
            "errors": traffic.errors.total(),
            "slow": self._connections.too_slow,
        }

    def collect_metrics(self) -> dict[str, float | None]:
        """Takes a sample into ``metrics``, and returns it."""
        totals = self.totals()
        self._window.add(self._now(), totals)
        self.metrics = {
            "total_connections": totals["connections"],
            "active_connections": len(self._connections.index),
            "messages_sent": totals["sent"],
            "messages_received": totals["received"],
            "errors_count": totals["errors"],
            # In the window, not over the whole life: an average since the start no outage can move.
            "messages_per_second": self._window.per_second("sent") + self._window.per_second("received"),
            "error_rate": self._window.share("errors", "asked", at_least=MIN_ASKED),
            "uptime_s": self.uptime_s,
        }
        return self.metrics

    def log_metrics(self) -> None:
        """One line with all of them."""
        figures = ", ".join(f"{name} {value:g}" for name, value in self.metrics.items() if value is not None)
        logger.info("%s", figures)

    async def check_alerts(self) -> None:
        """Looks what the last sample begins and ends, and has it announced."""
        for change in self._alerts.observe(self._alarming_values(), self._now()):
            await self._announce(change)

    def _alarming_values(self) -> dict[str, float | None]:
        active = len(self._connections.index)
        return {
            "connections": active,
            "instance_full": active / self._connections.max_connections,
            "error_rate": self.metrics["error_rate"],
            "dead_letters": sum(queue.sizes.dead for queue in self._queues),
            "instance_gone": self.silent_instances,
            "slow_consumers": self._window.per_second("slow") * 60,
            "outbox_lag": self._relay.lag_s,
            **{f"{health.part}_away": not health.is_ok for health in self.health()},
        }

    async def _sample_forever(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            try:
                self.collect_metrics()
                self.log_metrics()
                await self.check_alerts()
            except Exception:
                logger.exception("a sample of the monitor failed, going on")
