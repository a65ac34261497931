"""Gets what has happened to everybody it is for."""

import logging
from enum import Enum, auto

from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.ports import Clock
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.core.trace import HopRecorder
from reference_impl.model.envelope import encode_frame, encode_new_message
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import EventTypes, MessageEvent, PositionEvent, TypingEvent
from reference_impl.model.notification_content import NotificationData
from reference_impl.model.positions import PositionKind
from reference_impl.model.server_frames import DeliveredData, ReadData, ServerData, TypingData, action_of
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
        event_bus: EventBus,
        relay: OutboxRelay,
        message_router: MessageRouter,
        presence_manager: PresenceManager,
        notifications: NotificationService,
        recorder: HopRecorder,
        clock: Clock,
    ) -> None:
        self.lost_frames = 0
        """Typing and position frames that could not be published, since the start."""
        self._relay = relay
        self._router = message_router
        self._presence = presence_manager
        self._notifications = notifications
        self._clock = clock
        self._recorder = recorder
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.broadcast_message)
        event_bus.subscribe_async(EventTypes.CHAT_TYPING, self.broadcast_typing)
        event_bus.subscribe_async(EventTypes.CHAT_READ, self.broadcast_position)
        event_bus.subscribe_async(EventTypes.CHAT_DELIVERED, self.broadcast_position)

    def broadcast_message(self, event: MessageEvent) -> None:
        """Hands a stored message over to all instances. Does not wait for them."""
        if self._recorder.on:
            self._recorder.hop("broadcast", message_id=event.message.id, conversation_id=event.message.conversation_id)
        self._relay.hand_over(event, encode_new_message(event.message).text)

    async def broadcast_typing(self, event: TypingEvent) -> None:
        """Shows to the others that somebody types."""
        data = TypingData(user_id=event.user_id or "", is_typing=event.is_typing)
        await self._publish(event, data, except_user=event.user_id)

    async def broadcast_position(self, event: PositionEvent) -> None:
        """Shows to everybody how far somebody has come: to their own other devices, too."""
        position = event.position
        data_type = ReadData if position.kind is PositionKind.READ else DeliveredData
        await self._publish(event, data_type(user_id=position.user_id, seq=position.seq))

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
        leases = (await self._presence.leases([user_id])).get(user_id, [])
        if any(device_type in (None, lease.device_type) for lease in leases):
            frame = encode_frame(data, conversation_id=None, timestamp=self._clock())
            await self._router.publish_to_user(user_id, frame.text, device_type)
            return Reached.BY_SOCKET
        await self._notifications.send_push_notification(user_id, notification)
        return Reached.BY_PUSH

    async def _publish(
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
            await self._router.publish_frame(conversation_id, frame, except_user=except_user)
        except Unavailable as error:
            self.lost_frames += 1
            logger.info("a %s frame is lost: %s", action, error)
