"""What happens inside one instance, said in events that other parts can subscribe to."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reference_impl.model.messages import MessageInfo
from reference_impl.model.positions import Position, PositionKind


class EventTypes:
    """The names of all events."""

    WS_CONNECT = "ws_connect"
    WS_DISCONNECT = "ws_disconnect"
    WS_MESSAGE = "ws_message"

    CHAT_MESSAGE_RECEIVED = "chat_message_received"
    CHAT_MESSAGE_SENT = "chat_message_sent"
    CHAT_TYPING = "chat_typing"
    CHAT_READ = "chat_read"
    CHAT_DELIVERED = "chat_delivered"

    AI_RESPONSE_REQUESTED = "ai_response_requested"
    AI_RESPONSE_GENERATED = "ai_response_generated"
    AI_RESPONSE_FAILED = "ai_response_failed"

    SYSTEM_ERROR = "system_error"
    SYSTEM_NOTIFICATION = "system_notification"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that has happened. ``timestamp`` is aware UTC."""

    type: str
    timestamp: datetime
    data: dict[str, Any] = field(default_factory=dict)
    source: str = "unknown"
    conversation_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class MessageEvent(Event):
    """A message was stored. It can not be undone, and it is already durable."""

    message: MessageInfo
    origin_connection_id: str | None = None
    """The socket it came by; None when it came over HTTP."""


@dataclass(frozen=True, kw_only=True)
class UserEvent(Event):
    """A user connected or disconnected."""


@dataclass(frozen=True, kw_only=True)
class TypingEvent(UserEvent):
    """A user has begun or ceased to type. Nothing of it is stored."""

    is_typing: bool


@dataclass(frozen=True, kw_only=True)
class PositionEvent(UserEvent):
    """A user has read, or a device has received, everything up to a message. It is stored."""

    position: Position


@dataclass(frozen=True, kw_only=True)
class SystemEvent(Event):
    """Something about the server itself."""


def create_message_event(message: MessageInfo, *, origin_connection_id: str | None = None) -> MessageEvent:
    """The event of a message that is now in the store."""
    return MessageEvent(
        type=EventTypes.CHAT_MESSAGE_SENT,
        timestamp=message.timestamp,
        source="message_service",
        conversation_id=message.conversation_id,
        user_id=message.sender_id,
        message=message,
        origin_connection_id=origin_connection_id,
    )


def create_user_event(
    event_type: str, user_id: str, *, timestamp: datetime, conversation_id: str | None = None, **data: Any
) -> UserEvent:
    """The event of something a user did; ``data`` is free."""
    return UserEvent(
        type=event_type,
        timestamp=timestamp,
        source="websocket",
        conversation_id=conversation_id,
        user_id=user_id,
        data=data,
    )


def create_position_event(position: Position, *, timestamp: datetime) -> PositionEvent:
    """The event of a position that has moved."""
    is_read = position.kind is PositionKind.READ
    return PositionEvent(
        type=EventTypes.CHAT_READ if is_read else EventTypes.CHAT_DELIVERED,
        timestamp=timestamp,
        source="activity_service",
        conversation_id=position.conversation_id,
        user_id=position.user_id,
        position=position,
    )
