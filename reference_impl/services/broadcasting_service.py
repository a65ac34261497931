"""Gets what has happened to everybody it is for."""

import logging
from enum import Enum, auto

from msgspec import UNSET

from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.ports import Clock
from reference_impl.core.trace import HopRecorder
from reference_impl.model.envelope import EncodedFrame, encode_frame, encode_new_message
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import (
    AIEvent,
    Audience,
    EventTypes,
    MessageEvent,
    PositionEvent,
    SystemEvent,
    TypingEvent,
)
from reference_impl.model.notification_content import NotificationData
from reference_impl.model.positions import PositionKind
from reference_impl.model.server_frames import (
    AiResponseData,
    DeliveredData,
    ReadData,
    ServerData,
    SystemNotificationData,
    TypingData,
    action_of,
)
from reference_impl.services.notification_service import NotificationService

logger = logging.getLogger(__name__)


class Reached(Enum):
    """How a user was told something."""

    BY_SOCKET = auto()
    BY_PUSH = auto()


class BroadcastingService:
    """Listens for events, makes the one frame that all sockets get, and hands it over.

    It asks nobody who is where: a frame goes to the conversation, and each instance knows its own members.
    Messages go through the outbox, and whom no socket reaches is found by ``PushFallback``. Typing and positions
    do not: one that is lost is followed by the next, and positions are in the store.
    """

    def __init__(
        self,
        *,
        connection_manager: DistributedConnectionManager,
        notification_service: NotificationService,
        event_bus: EventBus,
        relay: OutboxRelay,
        recorder: HopRecorder,
        clock: Clock,
    ) -> None:
        self.lost_frames = 0
        """Frames that are in no store and could not be published, since the start."""
        self.connection_manager = connection_manager
        self.notification_service = notification_service
        self._relay = relay
        self._clock = clock
        self._recorder = recorder
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.broadcast_message)
        event_bus.subscribe_async(EventTypes.CHAT_TYPING, self.broadcast_typing)
        event_bus.subscribe_async(EventTypes.CHAT_READ, self.broadcast_position)
        event_bus.subscribe_async(EventTypes.CHAT_DELIVERED, self.broadcast_position)
        event_bus.subscribe_async(EventTypes.SYSTEM_NOTIFICATION, self.broadcast_notification)
        event_bus.subscribe_async(EventTypes.AI_RESPONSE_REQUESTED, self.broadcast_answer_event)
        event_bus.subscribe_async(EventTypes.AI_RESPONSE_GENERATED, self.broadcast_answer_event)
        event_bus.subscribe_async(EventTypes.AI_RESPONSE_FAILED, self.broadcast_answer_event)

    def broadcast_message(self, event: MessageEvent) -> None:
        """Hands a stored message over to all instances. Does not wait for them."""
        if self._recorder.on:
            self._recorder.hop(
                "broadcast",
                message_id=event.message.id,
                conversation_id=event.message.conversation_id,
                waiting=self._relay.waiting + 1,
            )
        self._relay.hand_over(event, encode_new_message(event.message).data)

    async def broadcast_typing(self, event: TypingEvent) -> None:
        """Shows to the others that somebody types."""
        data = TypingData(user_id=event.user_id or "", is_typing=event.is_typing)
        await self._show_to_members(event, data, except_user=event.user_id)

    async def broadcast_position(self, event: PositionEvent) -> None:
        """Shows to everybody how far somebody has come: to their own other devices, too."""
        position = event.position
        data_type = ReadData if position.kind is PositionKind.READ else DeliveredData
        await self._show_to_members(event, data_type(user_id=position.user_id, seq=position.seq))

    async def broadcast_notification(self, event: SystemEvent) -> None:
        """Shows to users what the server has to say to them. What it says to operators, no user sees."""
        if event.audience is Audience.OPERATORS:
            return
        data = SystemNotificationData(
            level=event.severity.value, code=event.code, text=event.message, details=event.data or UNSET
        )
        about = event.conversation_id if event.audience is Audience.CONVERSATION else None
        frame = encode_frame(data, conversation_id=about, timestamp=event.timestamp)
        try:
            await self._send_to_audience(event, frame)
        except Unavailable as error:
            self._lost("system_notification", error)

    async def broadcast_answer_event(self, event: AIEvent) -> None:
        """Shows that an answer is coming, has come, or is not coming."""
        data = AiResponseData(
            message_id=event.question_id,
            user_id=event.assistant_id,
            text=event.answer.content.get("text", "") if event.answer else "",
            is_final=event.type != EventTypes.AI_RESPONSE_REQUESTED,
            error=event.reason,
        )
        await self.broadcast_answer(event.conversation_id or "", data)

    async def broadcast_answer(self, conversation_id: str, data: AiResponseData) -> None:
        """Shows how far an answer has come. A socket that is behind gets only the latest."""
        key = f"ai_response:{data.message_id}"
        frame = encode_frame(data, conversation_id=conversation_id, timestamp=self._clock(), key=key)
        try:
            await self.connection_manager.send_to_conversation(conversation_id, frame)
        except Unavailable as error:
            self._lost("ai_response", error)

    async def send_direct_message(
        self,
        user_id: str,
        data: ServerData,
        notification: NotificationData,
        *,
        device_type: str | None = None,
    ) -> Reached:
        """Tells one user something that belongs to no conversation: on their sockets, else by a push.

        With ``device_type`` only sockets of such devices count. Unlike a message it is not stored: a socket that
        breaks at this moment loses it. Raises ``Unavailable`` and ``QueueFull``; then nobody was told.
        """
        leases = (await self.connection_manager.presence_manager.leases([user_id])).get(user_id, [])
        if not any(device_type in (None, lease.device_type) for lease in leases):
            await self.notification_service.send_push_notification(user_id, notification)
            return Reached.BY_PUSH
        frame = encode_frame(data, conversation_id=None, timestamp=self._clock())
        if device_type is None:
            await self.connection_manager.send_to_user(user_id, frame)
        else:
            await self.connection_manager.send_to_device_type(user_id, device_type, frame)
        return Reached.BY_SOCKET

    async def _send_to_audience(self, event: SystemEvent, frame: EncodedFrame) -> None:
        match event.audience:
            case Audience.USER:
                await self.connection_manager.send_to_user(event.user_id or "", frame)
            case Audience.CONVERSATION:
                await self.connection_manager.send_to_conversation(event.conversation_id or "", frame)
            case Audience.INSTANCE:
                self.connection_manager.send_to_all_here(frame)
            case Audience.EVERYBODY:
                await self.connection_manager.send_to_everybody(frame)

    async def _show_to_members(
        self,
        event: TypingEvent | PositionEvent,
        data: TypingData | ReadData | DeliveredData,
        except_user: str | None = None,
    ) -> None:
        action, conversation_id = action_of(data), event.conversation_id or ""
        frame = encode_frame(
            data,
            conversation_id=conversation_id,
            timestamp=event.timestamp,
            key=f"{action}:{conversation_id}:{event.user_id}",
        )
        try:
            await self.connection_manager.send_to_conversation(conversation_id, frame, except_user=except_user)
        except Unavailable as error:
            self._lost(action, error)

    def _lost(self, action: str, error: Unavailable) -> None:
        self.lost_frames += 1
        logger.info("a %s frame is lost: %s", action, error)
