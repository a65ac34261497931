"""Typing, delivered, read: what members do besides sending."""

from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock, ConversationStore
from reference_impl.model.errors import Forbidden
from reference_impl.model.event_factories import create_position_event
from reference_impl.model.events import EventTypes, TypingEvent
from reference_impl.model.positions import Position, PositionKind

TYPING_AGAIN_S = 2.0
"""A client may say with every key that its user types. Others hear it once in this time."""

MAX_TYPING = 10_000
"""Users whose last word on typing is remembered."""


class ActivityService:
    """Checks who may, stores what is to last, and announces it as events.

    Positions last: they are in the store before anybody hears of them. Typing does not: it is announced and
    forgotten.
    """

    def __init__(self, *, store: ConversationStore, event_bus: EventBus, clock: Clock) -> None:
        self._store = store
        self._event_bus = event_bus
        self._clock = clock
        self._typing: dict[tuple[str, str], float] = {}  # who types where -> when others last heard of it

    async def type(self, conversation_id: str, user_id: str, *, is_typing: bool) -> None:
        """Somebody has begun or ceased to type. Raises ``Forbidden``."""
        if not await self._store.is_participant(conversation_id, user_id):
            raise Forbidden("not a participant of this conversation")
        if self._is_news(conversation_id, user_id, is_typing=is_typing):
            self._announce_typing(conversation_id, user_id, is_typing=is_typing)

    def stop_typing(self, conversation_ids: set[str], user_id: str) -> None:
        """The user's connection has gone: whoever saw them type is told that they do not any more."""
        for conversation_id in conversation_ids:
            if self._typing.pop((conversation_id, user_id), None) is not None:
                self._announce_typing(conversation_id, user_id, is_typing=False)

    async def advance(self, conversation_id: str, user_id: str, kind: PositionKind, seq: int) -> None:
        """Everything up to ``seq`` is read by, or delivered to, this user. On return it is durable.

        A number behind what is known changes nothing. Raises ``Forbidden`` or ``Unavailable``.
        """
        position = Position(conversation_id=conversation_id, user_id=user_id, kind=kind, seq=seq)
        moved = await self._store.advance([position])
        if not moved and not await self._store.is_participant(conversation_id, user_id):
            raise Forbidden("not a participant of this conversation")
        for one in moved:
            if one.kind is PositionKind.COVERED:
                continue  # of no interest to anybody but the server
            self._event_bus.publish(create_position_event(one, timestamp=self._clock()))

    def _is_news(self, conversation_id: str, user_id: str, *, is_typing: bool) -> bool:
        """Whether others need to hear it: a change, or a repeat after a while."""
        key = (conversation_id, user_id)
        heard_at = self._typing.pop(key, None)
        if not is_typing:
            return heard_at is not None
        now = self._clock().timestamp()
        is_news = heard_at is None or now - heard_at >= TYPING_AGAIN_S
        self._typing[key] = now if is_news or heard_at is None else heard_at
        if len(self._typing) > MAX_TYPING:
            del self._typing[next(iter(self._typing))]  # the longest silent
        return is_news

    def _announce_typing(self, conversation_id: str, user_id: str, *, is_typing: bool) -> None:
        self._event_bus.publish(
            TypingEvent(
                type=EventTypes.CHAT_TYPING,
                timestamp=self._clock(),
                source="activity_service",
                conversation_id=conversation_id,
                user_id=user_id,
                is_typing=is_typing,
            )
        )
