"""Connections across instances: the managers, composed."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock, Transport
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.bus_messages import (
    AccessRevoked,
    AnyBusMessage,
    ConversationMessage,
    DirectFrame,
    frame_of,
)
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.events import EventTypes, create_user_event

logger = logging.getLogger(__name__)

Welcome = Callable[[str, int], EncodedFrame]
"""Makes the ``connected`` frame from the connection id and the conversation's head."""


class DistributedConnectionManager:
    """Composes ``ConnectionManager``, ``MessageRouter``, ``PresenceManager`` and the conversation feeds.

    It is not one of them: it only says in which order they act. No lock is held: each part is consistent
    by itself, and each step that fails gives back what the steps before it took.
    """

    def __init__(
        self,
        *,
        connection_manager: ConnectionManager,
        message_router: MessageRouter,
        presence_manager: PresenceManager,
        conversation_feeds: ConversationFeeds,
        event_bus: EventBus,
        instance_id: str,
        clock: Clock,
    ) -> None:
        self.connection_manager = connection_manager
        self.message_router = message_router
        self.presence_manager = presence_manager
        self.conversation_feeds = conversation_feeds
        self.instance_id = instance_id
        self.is_draining = False
        self._event_bus = event_bus
        self._clock = clock

    async def initialize(self) -> None:
        """Starts listening to the other instances and renewing leases."""
        await self.message_router.start(self.handle_broadcast, self.conversation_feeds.catch_up)
        await self.presence_manager.start()

    async def shutdown(self) -> None:
        """Ends connections, leases, feeds and the listener, in this order. Idempotent."""
        for connection in self.connection_manager.index:
            await self.disconnect(connection.connection_id)
        await self.conversation_feeds.close()
        await self.presence_manager.stop()
        await self.message_router.stop()

    async def connect(
        self,
        user_id: str,
        websocket: Transport,
        conversation_id: str,
        welcome: Welcome,
        metadata: dict[str, Any] | None = None,
        connection_id: str | None = None,
    ) -> str:
        """Connects one device of a user to a conversation; returns the connection id.

        The ``welcome`` frame is the first the device gets, and names the last message before the live
        ones: nothing is missing between the two. Raises ``ConnectionLimitExceeded`` or ``Unavailable``;
        then nothing is left of the attempt.
        """
        connection_id = await self.connection_manager.connect(user_id, websocket, metadata, connection_id)
        try:
            await self.presence_manager.add_user_to_online(user_id, connection_id)
            await self._subscribe(connection_id, conversation_id, welcome)
        except BaseException:
            await self.disconnect(connection_id)
            raise
        await self._event_bus.publish_async(
            create_user_event(
                EventTypes.WS_CONNECT,
                user_id,
                timestamp=self._clock(),
                conversation_id=conversation_id,
                connection_id=connection_id,
            )
        )
        return connection_id

    async def disconnect(self, connection_id: str) -> None:
        """Removes a connection everywhere. A second time is no error."""
        connection = await self.connection_manager.disconnect(connection_id)
        if connection is None:
            return
        for conversation_id in connection.conversation_ids:
            await self.conversation_feeds.leave(conversation_id)
        await self.presence_manager.remove_user_from_online(connection.user_id, connection_id)
        await self._event_bus.publish_async(
            create_user_event(
                EventTypes.WS_DISCONNECT,
                connection.user_id,
                timestamp=self._clock(),
                connection_id=connection_id,
            )
        )

    async def send_to_user(self, user_id: str, frame: EncodedFrame) -> None:
        """Sends a frame to all devices of a user, on every instance. Raises ``Unavailable``."""
        await self.message_router.publish_to_user(user_id, frame.text)

    async def send_to_device_type(self, user_id: str, device_type: str, frame: EncodedFrame) -> None:
        """Sends a frame to a user's devices of one type, on every instance. Raises ``Unavailable``."""
        await self.message_router.publish_to_user(user_id, frame.text, device_type)

    async def is_user_online(self, user_id: str) -> bool:
        """Whether the user has a connection on any instance. Raises ``Unavailable``."""
        return await self.presence_manager.is_user_online(user_id)

    def handle_broadcast(self, message: AnyBusMessage) -> None:
        """Takes what an instance has published, this one included, to the connections here. Does not wait."""
        match message:
            case ConversationMessage():
                self.conversation_feeds.accept(message)
            case DirectFrame():
                for connection in self.connection_manager.index.of_user(message.target_user_id):
                    if message.device_type in (None, connection.device_type):
                        connection.send(frame_of(message.frame))
            case AccessRevoked():
                self._revoke(message)

    async def drain(self, timeout: float, reason: str) -> None:
        """Writes out every outbox, closes every connection with 1012, and waits up to ``timeout`` seconds."""
        self.is_draining = True
        connections = tuple(self.connection_manager.index)
        for connection in connections:
            connection.close(CloseCode.SERVICE_RESTART, reason)
        if connections:
            waiting = [asyncio.create_task(connection.written()) for connection in connections]
            _, late = await asyncio.wait(waiting, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d connections did not take their last frames in %g s", len(late), timeout)

    async def _subscribe(self, connection_id: str, conversation_id: str, welcome: Welcome) -> None:
        feed = await self.conversation_feeds.join(conversation_id)
        subscribed = False
        try:
            first_frame = welcome(connection_id, feed.last_seq)
            subscribed = self.connection_manager.subscribe(connection_id, conversation_id, first_frame)
        finally:
            if not subscribed:  # the connection has gone meanwhile
                await self.conversation_feeds.leave(conversation_id)

    def _revoke(self, message: AccessRevoked) -> None:
        for connection in self.connection_manager.index.of_user(message.user_id):
            if message.conversation_id in connection.conversation_ids:
                connection.close(CloseCode.ACCESS_DENIED, "no longer a participant", discard=True)
