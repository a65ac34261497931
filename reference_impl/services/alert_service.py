"""What is done about an alert: a line in the log, an event, a call to somebody's endpoint."""

import logging
from typing import Any

from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.ports import Clock
from reference_impl.core.queue_ports import Webhook
from reference_impl.model.alert_rules import AlertAction, AlertChange
from reference_impl.model.errors import QueueFull
from reference_impl.model.event_factories import create_system_error, create_system_notification
from reference_impl.model.events import Severity, SystemEvent
from reference_impl.model.jobs import Job

logger = logging.getLogger(__name__)


class AlertService:
    """Takes an alert that begins or is over, and does what its rule asks for.

    The webhook has a queue of its own in this instance's memory, with the retries of all background work: the queue
    that instances share is in Redis, and an alert may be about just that.
    """

    def __init__(
        self, *, event_bus: EventBus, queue: MessageQueue, webhook: Webhook | None, instance_id: str, clock: Clock
    ) -> None:
        self._event_bus = event_bus
        self._queue = queue
        self._webhook = webhook
        self._instance_id = instance_id
        self._clock = clock

    async def start(self) -> None:
        """Begins to call the webhook, if there is one."""
        if self._webhook is not None:
            await self._queue.start(self.deliver)

    async def stop(self, timeout: float) -> None:
        """Ends, within ``timeout`` seconds. Idempotent."""
        await self._queue.stop(timeout)
        if self._webhook is not None:
            await self._webhook.stop()

    async def announce(self, change: AlertChange) -> None:
        """Once for each begin and each end. Waits for nobody outside."""
        actions = change.rule.actions
        if AlertAction.LOG in actions:
            _log(change)
        if AlertAction.EVENT in actions:
            self._event_bus.publish(self._event(change))
        if AlertAction.WEBHOOK in actions and self._webhook is not None:
            await self._enqueue(change)

    async def deliver(self, job: Job) -> None:
        """Handles one call of the webhook."""
        if self._webhook is not None:
            await self._webhook.post(job.payload, idempotency_key=job.id)

    async def _enqueue(self, change: AlertChange) -> None:
        note = self._note(change)
        name = f"alert:{self._instance_id}:{change.rule.name}:{note['state']}:{note['timestamp']}"
        try:
            await self._queue.enqueue_message(name, note)
        except QueueFull as error:
            logger.error("nobody is called about the alert %s: %s", change.rule.name, error.message)  # noqa: TRY400

    def _note(self, change: AlertChange) -> dict[str, Any]:
        return {
            "alert": change.rule.name,
            "state": "firing" if change.is_firing else "over",
            "text": change.rule.text,
            "value": change.value,
            "threshold": change.rule.threshold,
            "lasted_s": change.at - change.since,
            "instance_id": self._instance_id,
            "timestamp": self._clock().isoformat(),
        }

    def _event(self, change: AlertChange) -> SystemEvent:
        """An error while users are hurt; a notification for a warning, and when it is over."""
        code, source, now = f"alert_{change.rule.name}", "websocket_monitor", self._clock()
        figures: dict[str, Any] = {"value": change.value, "threshold": change.rule.threshold}
        if not change.is_firing:
            text = f"over after {change.at - change.since:.0f} s: {change.rule.text}"
            return create_system_notification(code, text, source=source, timestamp=now, **figures)
        text = f"{change.rule.text} (it is {change.value:.4g})"
        if change.rule.is_error:
            return create_system_error(code, text, source=source, timestamp=now, **figures)
        return create_system_notification(
            code, text, source=source, timestamp=now, severity=Severity.WARNING, **figures
        )


def _log(change: AlertChange) -> None:
    if not change.is_firing:
        logger.info("alert %s is over after %.0f s", change.rule.name, change.at - change.since)
        return
    level = logging.ERROR if change.rule.is_error else logging.WARNING
    logger.log(level, "alert %s: %s (it is %.4g)", change.rule.name, change.rule.text, change.value)
