"""Connections across instances: the managers, composed."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from uuid_utils import uuid7

from reference_impl.core.attendance import Attendance
from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.connection_slots import ConnectionSlots
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.event_bus import EventBus
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock, Transport, Welcome
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.core.replay import Replay
from reference_impl.model.bus_messages import (
    AnyBusMessage,
    ConversationFrame,
    ConversationHead,
    ConversationMessage,
    DirectFrame,
    MembershipChanged,
    PresenceChanged,
)
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.errors import Forbidden, Unavailable
from reference_impl.model.event_factories import create_user_event
from reference_impl.model.events import EventTypes
from reference_impl.model.presence import PresenceChange
from reference_impl.model.server_frames import presence_data

logger = logging.getLogger(__name__)


class DistributedConnectionManager:
    """Composes ``ConnectionManager``, ``MessageRouter``, ``PresenceManager`` and the conversation feeds.

    It is not one of them: it only says in which order they act. No lock is held: each part is consistent
    by itself, and each step that fails gives back what the steps before it took.
    """

    def __init__(
        self,
        *,
        connection_manager: ConnectionManager,
        connection_slots: ConnectionSlots,
        message_router: MessageRouter,
        presence_manager: PresenceManager,
        conversation_feeds: ConversationFeeds,
        memberships: Memberships,
        attendance: Attendance,
        replay: Replay,
        event_bus: EventBus,
        instance_id: str,
        clock: Clock,
    ) -> None:
        self.connection_manager = connection_manager
        self.connection_slots = connection_slots
        self.message_router = message_router
        self.presence_manager = presence_manager
        self.conversation_feeds = conversation_feeds
        self.instance_id = instance_id
        self.is_initialized = False
        self.is_draining = False
        self._memberships = memberships
        self._attendance = attendance
        self._replay = replay
        self._tasks: set[asyncio.Task[None]] = set()
        self._event_bus = event_bus
        self._clock = clock

    async def initialize(self) -> None:
        """Starts listening to the other instances and renewing leases."""
        await self.message_router.start(self.handle_broadcast, self._catch_up)
        await self.presence_manager.start()
        await self.connection_slots.start()
        self.is_initialized = True

    async def shutdown(self) -> None:
        """Ends connections, leases, feeds and the listener, in this order. Idempotent."""
        for connection in self.connection_manager.index:
            await self.disconnect(connection.connection_id, lost=True)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.conversation_feeds.close()
        await self.connection_slots.stop()
        await self.presence_manager.stop()
        await self.message_router.stop()

    async def connect(
        self,
        user_id: str,
        websocket: Transport,
        conversation_ids: list[str],
        welcome: Welcome,
        metadata: dict[str, Any] | None = None,
        connection_id: str | None = None,
        *,
        address: str = "local",
        token_id: str = "",
        is_device_wide: bool = False,
        last_seq: int | None = None,
    ) -> str:
        """Connects one device of a user to a conversation, or to all of them; returns the connection id.

        The ``welcome`` frame is the first the device gets. It names the last message before the live ones, and
        nothing is missing between the two. With ``last_seq`` the connection is not live yet: ``resume`` it.
        ``address`` is whom it counts for under the limit on addresses, ``token_id`` what it ends with.
        Raises ``ConnectionLimitExceeded`` or ``Unavailable``; then nothing is left of the attempt. ``RuntimeError``
        before ``initialize``: nothing that other instances say would reach the device.
        """
        if not self.is_initialized:
            raise RuntimeError("this DistributedConnectionManager does not listen yet: await initialize() first")
        connection_id = connection_id or str(uuid7())
        await self.connection_slots.take(user_id, address, connection_id)
        try:
            await self.connection_manager.connect(
                user_id, websocket, metadata, connection_id, is_device_wide=is_device_wide
            )
        except BaseException:
            await self.connection_slots.give_back(connection_id)
            raise
        connection = self.connection_manager.connections_by_id[connection_id]
        connection.token_id = token_id
        try:
            await self.presence_manager.add_user_to_online(
                user_id,
                connection_id,
                device_id=connection.device_id,
                device_type=connection.device_type,
                conversation_id=None if is_device_wide else conversation_ids[0],
                since=self._clock().timestamp() if last_seq is None else 0.0,
            )
            await self._join(connection, conversation_ids, welcome, live=last_seq is None)
        except BaseException:
            await self.disconnect(connection_id)
            raise
        self._tell(EventTypes.WS_CONNECT, connection)
        return connection_id

    async def resume(self, connection: Connection, conversation_id: str, last_seq: int) -> None:
        """Sends a connection what it missed after ``last_seq``, then the live messages.

        Raises ``Forbidden`` or ``Unavailable``; then the connection is not live on this conversation.
        """
        feed = await self.conversation_feeds.join(conversation_id, connection)
        try:
            await self._replay.run(connection, feed, last_seq)
        except Forbidden:
            await self.conversation_feeds.leave(conversation_id, connection)
            raise

    async def disconnect(self, connection_id: str, *, lost: bool = False) -> None:
        """Removes a connection everywhere. ``lost``: it vanished and may come back. A second time is no error."""
        connection = await self.connection_manager.disconnect(connection_id)
        if connection is None:
            return
        await self.connection_slots.give_back(connection_id)
        for conversation_id in tuple(connection.joined_ids):
            await self.conversation_feeds.leave(conversation_id, connection)
        await self.presence_manager.remove_user_from_online(connection.user_id, connection_id, lost=lost)
        self._tell(EventTypes.WS_DISCONNECT, connection)

    async def send_to_user(self, user_id: str, frame: EncodedFrame) -> None:
        """Sends a frame to all devices of a user, on every instance. Raises ``Unavailable``."""
        await self.message_router.publish_to_user(user_id, frame.data)

    async def send_to_device_type(self, user_id: str, device_type: str, frame: EncodedFrame) -> None:
        """Sends a frame to a user's devices of one type, on every instance. Raises ``Unavailable``."""
        await self.message_router.publish_to_user(user_id, frame.data, device_type)

    async def send_to_everybody(self, frame: EncodedFrame) -> None:
        """Sends a frame to every connection, on every instance. Raises ``Unavailable``."""
        await self.message_router.publish_to_user(None, frame.data)

    async def send_to_conversation(
        self, conversation_id: str, frame: EncodedFrame, *, except_user: str | None = None
    ) -> None:
        """Sends a frame that is true for a moment to a conversation's members. Raises ``Unavailable``."""
        await self.message_router.publish_frame(conversation_id, frame, except_user=except_user)

    def send_to_all_here(self, frame: EncodedFrame) -> None:
        """Queues a frame for every connection of this instance."""
        for connection in self.connection_manager.index:
            connection.send(frame)

    async def is_user_online(self, user_id: str) -> bool:
        """Whether the user has a connection on any instance. Raises ``Unavailable``."""
        return await self.presence_manager.is_user_online(user_id)

    def handle_broadcast(self, message: AnyBusMessage) -> None:
        """Takes what an instance has published, this one included, to the connections here. Does not wait."""
        match message:
            case ConversationMessage():
                self.conversation_feeds.accept(message)
            case ConversationHead():
                self.conversation_feeds.expect(message)
            case ConversationFrame():
                frame = EncodedFrame(message.frame, key=message.key or None)
                self.connection_manager.send_to_conversation(
                    message.conversation_id, frame, message.except_connection, message.except_user
                )
            case DirectFrame(target_user_id=None):
                self.send_to_all_here(EncodedFrame(message.frame))
            case DirectFrame(target_user_id=str(user_id)):
                for connection in self.connection_manager.index.of_user(user_id):
                    if message.device_type in (None, connection.device_type):
                        connection.send(EncodedFrame(message.frame))
            case MembershipChanged():
                self._attendance.note_members_changed(message.conversation_id)
                self._start(self._refresh(message))
            case PresenceChanged():
                self._attendance.note_presence(message.changes)
                for change, conversation_ids in message.changes:
                    self._show(change, conversation_ids)

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

    def _catch_up(self) -> None:
        """Redis was away: messages may have passed us by, and it may have lost what it knew."""
        self.conversation_feeds.catch_up()
        self._attendance.note_gap()
        self.connection_slots.renew_soon()

    async def _join(self, connection: Connection, conversation_ids: list[str], welcome: Welcome, *, live: bool) -> None:
        feeds = await asyncio.gather(*(self.conversation_feeds.join(name, connection) for name in conversation_ids))
        self._memberships.look_again(connection.user_id)
        # From here on nothing awaits: no message falls between the heads in the welcome and the live ones.
        heads = {feed.conversation_id: feed.last_seq for feed in feeds}
        only = None if connection.is_device_wide else conversation_ids[0]
        if connection.send(welcome(connection.connection_id, only, heads)) and live:
            for conversation_id in conversation_ids:
                self.connection_manager.subscribe(connection, conversation_id)

    def _tell(self, event_type: str, connection: Connection) -> None:
        self._event_bus.publish(
            create_user_event(
                event_type,
                connection.user_id,
                timestamp=self._clock(),
                connection_id=connection.connection_id,
                device_id=connection.device_id,
                device_type=connection.device_type,
            )
        )

    async def _refresh(self, change: MembershipChanged) -> None:
        try:
            await self._memberships.refresh(change.user_ids)
        except Unavailable as error:
            logger.warning("changed memberships are looked at later: %s", error)  # by the reconciler
        if change.conversation_id is not None:
            self._memberships.tell_members(change.conversation_id)

    def _show(self, change: PresenceChange, conversation_ids: list[str]) -> None:
        """Once to each connection that shares a conversation, the user's own other devices included."""
        device_wide: dict[str, Connection] = {}
        for conversation_id in conversation_ids:
            members = self.connection_manager.index.by_conversation.get(conversation_id, {})
            device_wide |= {name: member for name, member in members.items() if member.is_device_wide}
            others = [member for member in members.values() if not member.is_device_wide]
            self._send_change(change, conversation_id, others)
        self._send_change(change, None, list(device_wide.values()))

    def _send_change(self, change: PresenceChange, conversation_id: str | None, members: list[Connection]) -> None:
        if not members:
            return
        data = presence_data(change)
        frame = encode_frame(data, conversation_id=conversation_id, timestamp=self._clock(), key=change.key)
        for member in members:
            is_itself = member.user_id == change.user_id and change.device_id in (None, member.device_id)
            if not is_itself:
                member.send(frame)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
