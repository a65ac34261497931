"""Makes events: each names its source, and takes its time from who publishes it."""

from datetime import datetime
from typing import Any

from reference_impl.model.events import (
    Audience,
    DeliveryEvent,
    EventTypes,
    FrameEvent,
    MessageEvent,
    PositionEvent,
    Severity,
    SystemEvent,
    UserEvent,
)
from reference_impl.model.messages import MessageInfo
from reference_impl.model.positions import Position, PositionKind


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


def create_delivery_event(
    conversation_id: str, message_id: str | None, reached: int, *, timestamp: datetime
) -> DeliveryEvent:
    """The event of a message that has come to this instance's members."""
    return DeliveryEvent(
        type=EventTypes.CHAT_MESSAGE_RECEIVED,
        timestamp=timestamp,
        source="conversation_feeds",
        conversation_id=conversation_id,
        message_id=message_id,
        reached=reached,
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


def create_frame_event(
    frame_type: str, user_id: str, connection_id: str, conversation_id: str | None, *, timestamp: datetime
) -> FrameEvent:
    """The event of a frame that came in."""
    return FrameEvent(
        type=EventTypes.WS_MESSAGE,
        timestamp=timestamp,
        source="websocket",
        conversation_id=conversation_id,
        user_id=user_id,
        connection_id=connection_id,
        frame_type=frame_type,
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


def create_system_error(code: str, message: str, *, source: str, timestamp: datetime, **data: Any) -> SystemEvent:
    """The event of a failure of the server's own; ``data`` is free, and holds nothing that a user wrote."""
    return SystemEvent(
        type=EventTypes.SYSTEM_ERROR, timestamp=timestamp, source=source, data=data, code=code, message=message
    )


def create_system_notification(
    code: str,
    message: str,
    *,
    source: str,
    timestamp: datetime,
    audience: Audience = Audience.OPERATORS,
    severity: Severity = Severity.INFO,
    conversation_id: str | None = None,
    user_id: str | None = None,
    **data: Any,
) -> SystemEvent:
    """The event of something the server has to say. Raises ``ValueError`` when it is not said to whom."""
    needed = {Audience.USER: user_id, Audience.CONVERSATION: conversation_id}
    if needed.get(audience, "nobody in particular") is None:
        raise ValueError(f"a notification for one {audience} must name it")
    return SystemEvent(
        type=EventTypes.SYSTEM_NOTIFICATION,
        timestamp=timestamp,
        source=source,
        conversation_id=conversation_id,
        user_id=user_id,
        data=data,
        code=code,
        message=message,
        severity=severity,
        audience=audience,
    )
