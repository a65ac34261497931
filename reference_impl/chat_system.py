"""All parts of one running instance, started and stopped in order."""

import logging
from dataclasses import dataclass
from typing import Any

from reference_impl.api.deps import Services
from reference_impl.core.connection_manager import describe
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.heartbeat_manager import HeartbeatManager
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.ports import Store
from reference_impl.core.presence_announcer import PresenceAnnouncer
from reference_impl.core.reconciler import Reconciler
from reference_impl.model.event_factories import create_system_notification
from reference_impl.model.events import Audience
from reference_impl.services.ai_questions import AIQuestions
from reference_impl.services.ai_service import AIService
from reference_impl.services.alert_service import AlertService
from reference_impl.services.audit_log import AuditLog
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.notification_service import NotificationService
from reference_impl.services.push_fallback import PushFallback

logger = logging.getLogger(__name__)

RECONNECT_SPREAD_S = 5
"""Over how long the clients of a draining instance are asked to spread their reconnects."""


@dataclass(frozen=True, kw_only=True)
class ChatSystem:
    """One instance. ``app.py`` makes it; the web framework's lifespan starts and stops it."""

    services: Services
    store: Store
    event_bus: EventBus
    audit_log: AuditLog
    relay: OutboxRelay
    broadcasting: BroadcastingService
    connections: DistributedConnectionManager
    heartbeat: HeartbeatManager
    reconciler: Reconciler
    presence_announcer: PresenceAnnouncer
    notifications: NotificationService
    push_fallback: PushFallback
    ai_service: AIService
    ai_questions: AIQuestions
    alerts: AlertService

    async def start(self) -> None:
        """Opens the store first and lets users in last."""
        await self.event_bus.start()
        await self.store.start()
        await self.relay.start()
        await self.connections.initialize()
        await self.presence_announcer.start()
        await self.reconciler.start()
        await self.services.confirmations.start()
        await self.notifications.start()
        await self.push_fallback.start()
        await self.ai_service.start()
        await self.ai_questions.start()
        await self.heartbeat.start()
        await self.alerts.start()
        await self.services.monitor.start()
        await self.services.board.start()

    async def drain(self) -> None:
        """Announces what is stored, writes out what is queued, and sends every client away with 1012."""
        timeout = self.services.settings.drain_timeout_s
        await self.relay.flush(timeout / 2)
        await self.event_bus.publish_async(
            create_system_notification(
                "restarting",
                "This server restarts; you are connected again in a moment.",
                source="drain",
                timestamp=self.services.clock(),
                audience=Audience.INSTANCE,
                reconnect_within_s=RECONNECT_SPREAD_S,
            )
        )
        await self.connections.drain(timeout / 2, f"restarting; reconnect within {RECONNECT_SPREAD_S} s")

    async def stop(self) -> None:
        """Undoes ``start``, backwards. Idempotent."""
        await self.services.board.stop()
        await self.services.monitor.stop()
        await self.alerts.stop(self.services.settings.drain_timeout_s / 8)
        await self.heartbeat.stop()
        await self.services.confirmations.stop()
        await self.ai_questions.stop()
        await self.ai_service.stop(self.services.settings.drain_timeout_s / 4)
        await self.push_fallback.stop()
        await self.notifications.stop(self.services.settings.drain_timeout_s / 4)
        await self.reconciler.stop()
        await self.presence_announcer.stop()
        await self.connections.shutdown()
        await self.event_bus.drain(self.services.settings.drain_timeout_s / 2)
        await self.relay.stop()
        await self.store.stop()
        self.services.recorder.close()

    def snapshot(self) -> dict[str, Any]:
        """The state of the managers as plain values, for people to look at."""
        manager = self.connections.connection_manager
        return {
            "instance_id": self.connections.instance_id,
            "connections": [describe(connection) for connection in manager.index],
            "connections_by_user": {user: sorted(ids) for user, ids in manager.connections_by_user.items()},
            "connections_by_conversation": {
                name: sorted(members) for name, members in manager.index.by_conversation.items()
            },
            "conversations": self.connections.conversation_feeds.last_seqs,
            "leases": self.connections.presence_manager.held_leases,
            "broker_live": self.connections.message_router.is_live,
            "late_announcements": self.relay.late,
            "swept_announcements": self.relay.swept,
            "lost_frames": self.broadcasting.lost_frames,
            "handler_failures": self.event_bus.failures,
        }
