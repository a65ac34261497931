"""What happens inside one instance, said in events that other parts can subscribe to.

An event says what *has* happened: it is past, and no handler can prevent it. Factories for those that more than one
part publishes are in ``event_factories.py``. Structs, since a frozen dataclass takes five times as long to make.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from reference_impl.model.messages import MessageInfo
from reference_impl.model.positions import Position


class EventTypes:
    """The names of all events, who publishes them, and what each one says has happened."""

    WS_CONNECT = "ws_connect"
    """A device is connected and has its ``connected`` frame. ``DistributedConnectionManager``."""
    WS_DISCONNECT = "ws_disconnect"
    """A device is gone from every index. ``DistributedConnectionManager``."""
    WS_MESSAGE = "ws_message"
    """A client's frame came in, good or bad; nothing was done about it yet. ``SocketSession``."""

    CHAT_MESSAGE_SENT = "chat_message_sent"
    """A message was stored: it is durable. Once per message, on the instance that stored it. ``MessageService``."""
    CHAT_MESSAGE_RECEIVED = "chat_message_received"
    """A message has come to this instance and was queued for its members' sockets, in its turn. Once per message
    on each instance that has members there. ``ConversationFeeds``."""
    CHAT_TYPING = "chat_typing"
    """Somebody has begun or ceased to type. ``ActivityService``."""
    CHAT_READ = "chat_read"
    """Somebody has read up to a message; it is stored. ``ActivityService``."""
    CHAT_DELIVERED = "chat_delivered"
    """A device has said that it has everything up to a message; it is stored. ``ActivityService``."""

    AI_RESPONSE_REQUESTED = "ai_response_requested"
    """An answer was asked for: the request is in the queue. ``AIService``."""
    AI_RESPONSE_GENERATED = "ai_response_generated"
    """The answer is a stored message. ``AIService``."""
    AI_RESPONSE_FAILED = "ai_response_failed"
    """There will be no answer; the conversation has been told. ``AIService``."""

    SYSTEM_ERROR = "system_error"
    """A part of the server failed, and what it was doing for one client or for all is not done."""
    SYSTEM_NOTIFICATION = "system_notification"
    """The server has something to say: to its operators, or to users as ``system_notification`` frames."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened. Raises ``ValueError`` for a ``timestamp`` without a time zone."""

    type: str
    timestamp: datetime
    data: dict[str, Any] = {}  # each event gets one of its own
    source: str = "unknown"
    conversation_id: str | None = None
    user_id: str | None = None

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            raise ValueError(f"event {self.type}: the timestamp needs a time zone")


class MessageEvent(Event, frozen=True, kw_only=True):
    """A message was stored. It can not be undone, and it is already durable."""

    message: MessageInfo
    origin_connection_id: str | None = None
    """The socket it came by; None when it came over HTTP."""


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """A message was queued for the sockets of its conversation's members on this instance."""

    message_id: str | None
    reached: int
    """Connections that took it. One that did not is being closed and will resume."""


class UserEvent(Event, frozen=True, kw_only=True):
    """A user connected, disconnected, or did something."""


class FrameEvent(UserEvent, frozen=True, kw_only=True):
    """A frame came in from a client. What it says is not in the event, only what kind it is."""

    connection_id: str
    frame_type: str
    """As in the contract, or ``unreadable``."""


class TypingEvent(UserEvent, frozen=True, kw_only=True):
    """A user has begun or ceased to type. Nothing of it is stored."""

    is_typing: bool


class PositionEvent(UserEvent, frozen=True, kw_only=True):
    """A user has read, or a device has received, everything up to a message. It is stored."""

    position: Position


class AIEvent(Event, frozen=True, kw_only=True):
    """Something about one answer. ``user_id`` is who asked; texts are only in ``answer``."""

    assistant_id: str
    question_id: str
    """The message that is answered."""
    answer: MessageInfo | None = None
    """Once it is generated."""
    reason: str | None = None
    """Why there is none: a short code, never the text of an error."""


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Audience(StrEnum):
    """Whom a notification is for."""

    OPERATORS = "operators"
    """Logs, metrics and the monitor page: no user sees it."""
    USER = "user"
    """The devices of ``user_id``, on every instance."""
    CONVERSATION = "conversation"
    """The members of ``conversation_id`` who are connected."""
    INSTANCE = "instance"
    """Everybody who is connected to this instance."""
    EVERYBODY = "everybody"
    """Everybody who is connected to any instance."""


class SystemEvent(Event, frozen=True, kw_only=True):
    """Something about the server itself."""

    code: str
    """What it is, for programs: ``circuit_opened``, ``restarting``."""
    message: str
    """The same in one line for people. It names no secret and quotes no user."""
    severity: Severity = Severity.ERROR
    audience: Audience = Audience.OPERATORS
