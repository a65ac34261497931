"""What happens when somebody says something."""

import time
from typing import Any, Protocol

from uuid_utils import uuid7

from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Appended, Clock, Store
from reference_impl.core.trace import HopRecorder
from reference_impl.core.traffic import Traffic
from reference_impl.logs import belonging_to
from reference_impl.model.errors import RateLimited, Unavailable
from reference_impl.model.event_factories import create_message_event
from reference_impl.model.json_values import require_json
from reference_impl.model.messages import MessageDraft, MessageInfo, validated_content
from reference_impl.model.positions import with_read_mark


class Sender(Protocol):
    """Who says something."""

    @property
    def user_id(self) -> str:
        """Must take part in the conversation."""

    @property
    def display_name(self) -> str:
        """As the others see it."""


class MessageService:
    """Checks a message, stores it, and announces it. The only way in, for HTTP and WebSocket alike.

    It knows nobody who is interested: broadcasting and everything else listen to the event.
    """

    def __init__(
        self,
        *,
        store: Store,
        message_router: MessageRouter,
        event_bus: EventBus,
        clock: Clock,
        recorder: HopRecorder,
        max_content_bytes: int = 64 * 1024,
        traffic: Traffic | None = None,
    ) -> None:
        self._store = store
        self._router = message_router
        self._event_bus = event_bus
        self._clock = clock
        self._recorder = recorder
        self._max_content_bytes = max_content_bytes
        self._traffic = traffic or Traffic()

    async def create_message(
        self,
        conversation_id: str,
        sender: Sender,
        content: object,
        message_type: str = "text",
        *,
        message_id: str | None = None,
        sender_type: str = "user",
        client_message_id: str | None = None,
        is_important: bool = False,
        reply_to_message_id: str | None = None,
        extra_metadata: dict[str, Any] | None = None,
        origin_connection_id: str | None = None,
    ) -> MessageInfo:
        """Stores a message of ``sender`` and returns it with its ``seq``. On return it is durable.

        The same ``client_message_id`` a second time gives back the first message and announces nothing.
        What people send is limited; what a program of this server's own sends, is not: ``sender_type`` says which.
        Raises ``RateLimited``, ``Invalid``, ``TooLarge``, ``Forbidden`` when the sender does not take part,
        ``Unavailable``; then nothing is stored.
        """
        require_json(extra_metadata, "extra_metadata", max_bytes=self._max_content_bytes)
        draft = MessageDraft(
            id=message_id or str(uuid7()),
            conversation_id=conversation_id,
            sender_id=sender.user_id,
            sender_type=sender_type,
            sender_name=sender.display_name,
            type=message_type,
            content=validated_content(message_type, content, max_bytes=self._max_content_bytes),
            timestamp=self._clock(),
            is_important=is_important,
            reply_to_message_id=reply_to_message_id,
            client_message_id=client_message_id,
            extra_metadata=extra_metadata,
        )
        with belonging_to(message_id=draft.id, conversation_id=conversation_id):
            return await self._store_and_tell(draft, origin_connection_id)

    async def _store_and_tell(self, draft: MessageDraft, origin_connection_id: str | None) -> MessageInfo:
        message, is_new = await self._append(draft)
        self._hop("stored", message, seq=message.seq, is_new=is_new)
        if is_new:
            event = create_message_event(message, origin_connection_id=origin_connection_id)
            self._hop("event_published", message, type=event.type)
            self._event_bus.publish(event)
        return message

    async def history(
        self, conversation_id: str, *, after_seq: int | None, before_seq: int | None, limit: int
    ) -> list[MessageInfo]:
        """A page of messages, ascending by ``seq``. ``is_read``: somebody other than its sender has read it."""
        page = await self._store.history(conversation_id, after_seq=after_seq, before_seq=before_seq, limit=limit)
        positions = (await self._store.positions([conversation_id]))[conversation_id]
        return [with_read_mark(message, positions) for message in page]

    async def _append(self, draft: MessageDraft) -> Appended:
        """Counts a message, and stores it. Who did not get an ack asks again, and must not pay for it: a message
        that is stored already is not counted, and one that could not be stored is counted no more.
        """
        if draft.sender_type != "user":
            return await self._store.append(draft)
        counted = True
        try:
            await self._router.admit(draft.sender_id)
        except RateLimited:
            client_id = draft.client_message_id
            if client_id is None or not await self._store.has_sent(draft.sender_id, client_id):
                raise
            counted = False
        began = time.perf_counter()
        try:
            appended = await self._store.append(draft)
        except Unavailable:
            await self._give_back(draft, counted=counted)
            raise
        self._traffic.commit_seconds.observe(time.perf_counter() - began)
        if not appended.is_new:
            await self._give_back(draft, counted=counted)
        return appended

    async def _give_back(self, draft: MessageDraft, *, counted: bool) -> None:
        if counted:
            await self._router.limits.give_back(draft.sender_id)

    def _hop(self, hop: str, message: MessageInfo, **detail: Any) -> None:
        if self._recorder.on:
            self._recorder.hop(
                hop,
                message_id=message.id,
                client_message_id=message.client_message_id,
                conversation_id=message.conversation_id,
                user_id=message.sender_id,
                **detail,
            )
