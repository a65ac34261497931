"""What happened on this instance, for its operators: counted, logged, and the latest kept to look at."""

import logging
from collections import Counter, deque
from typing import Any

from reference_impl.core.event_bus import EventBus
from reference_impl.model.events import (
    AIEvent,
    Audience,
    DeliveryEvent,
    Event,
    EventTypes,
    FrameEvent,
    Severity,
    SystemEvent,
    UserEvent,
)

logger = logging.getLogger(__name__)

LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}

KEEP = 200


class AuditLog:
    """Listens for what an operator wants to find again. Nothing that a user wrote is in it."""

    def __init__(self, *, event_bus: EventBus, keep: int = KEEP) -> None:
        self.frames: Counter[str] = Counter()
        """Frames that came in, by type, since the start."""
        self.delivered = 0
        """Copies of messages that were queued for sockets here, since the start."""
        self.errors: Counter[str] = Counter()
        """Errors of the server's own, by code, since the start."""
        self.recent: deque[dict[str, Any]] = deque(maxlen=keep)
        """The latest entries, oldest first."""
        event_bus.subscribe(EventTypes.WS_CONNECT, self.note_connection)
        event_bus.subscribe(EventTypes.WS_DISCONNECT, self.note_connection)
        event_bus.subscribe(EventTypes.WS_MESSAGE, self.count_frame)
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_RECEIVED, self.count_delivery)
        for ai_event in (
            EventTypes.AI_RESPONSE_REQUESTED,
            EventTypes.AI_RESPONSE_GENERATED,
            EventTypes.AI_RESPONSE_FAILED,
        ):
            event_bus.subscribe(ai_event, self.note_answer)
        event_bus.subscribe(EventTypes.SYSTEM_ERROR, self.note_system)
        event_bus.subscribe(EventTypes.SYSTEM_NOTIFICATION, self.note_system)

    def note_connection(self, event: UserEvent) -> None:
        """Somebody came or went."""
        logger.info("%s: user %s, connection %s", event.type, event.user_id, event.data.get("connection_id"))
        self._keep(event)

    def count_frame(self, event: FrameEvent) -> None:
        """A frame came in: too many for a line each."""
        self.frames[event.frame_type] += 1

    def count_delivery(self, event: DeliveryEvent) -> None:
        """A message has come to the members here."""
        self.delivered += event.reached

    def note_answer(self, event: AIEvent) -> None:
        """An answer was asked for, given, or is not coming."""
        level = logging.WARNING if event.reason else logging.INFO
        logger.log(level, "%s: message %s, %s", event.type, event.question_id, event.reason or "no failure")
        self._keep(event, question_id=event.question_id, reason=event.reason)

    def note_system(self, event: SystemEvent) -> None:
        """The server says something about itself."""
        if event.type == EventTypes.SYSTEM_ERROR:
            self.errors[event.code] += 1
        said = event.message if event.audience is Audience.OPERATORS else f"to {event.audience}"
        logger.log(LEVELS[event.severity], "%s from %s: %s (%s)", event.type, event.source, said, event.code)
        self._keep(event, code=event.code, message=said, severity=event.severity, audience=event.audience)

    def _keep(self, event: Event, **more: Any) -> None:
        self.recent.append(
            {
                "timestamp": event.timestamp.isoformat(),
                "type": event.type,
                "source": event.source,
                "conversation_id": event.conversation_id,
                "user_id": event.user_id,
                **event.data,
                **more,
            }
        )
