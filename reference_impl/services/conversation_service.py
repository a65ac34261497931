"""Conversations and who takes part in them."""

import logging

from uuid_utils import uuid7

from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock, ConversationStore
from reference_impl.model.conversations import Conversation, ConversationView, User, validated_user_id
from reference_impl.model.errors import Forbidden, Invalid, Unavailable
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)


class ConversationService:
    """Creates conversations, changes who is in them, and says who may see them.

    What a user may not see does not exist for them: both cases get the same ``Forbidden``.
    """

    def __init__(
        self,
        *,
        store: ConversationStore,
        message_router: MessageRouter,
        clock: Clock,
        create_named_users: bool,
    ) -> None:
        self._store = store
        self._router = message_router
        self._clock = clock
        self._create_named_users = create_named_users

    async def sign_in(self, identity: Identity) -> None:
        """Notes a user who has proved who they are, so that others can name them."""
        await self._store.ensure_user(User(id=identity.user_id, display_name=identity.display_name))

    async def create(self, creator: Identity, title: str, participant_ids: list[str]) -> ConversationView:
        """A new conversation of the creator and ``participant_ids``, each once. Raises ``Invalid``."""
        await self.sign_in(creator)
        members = list(dict.fromkeys([creator.user_id, *participant_ids]))
        for user_id in members[1:]:
            await self._require_user(user_id)
        conversation = Conversation(
            id=str(uuid7()),
            title=title,
            creator_id=creator.user_id,
            participant_ids=members,
            created_at=self._clock(),
        )
        await self._store.create_conversation(conversation)
        await self._announce_membership(members, conversation.id)
        return (await self._views([conversation], creator.user_id))[0]

    async def all_of(self, user_id: str) -> list[ConversationView]:
        """All conversations of a user, oldest first, as that user sees them."""
        return await self._views(await self._store.conversations_of(user_id), user_id)

    async def view(self, conversation_id: str, user_id: str) -> ConversationView:
        """The conversation as one of its participants sees it. Raises ``Forbidden``."""
        (view,) = await self._views([await self.get(conversation_id, user_id)], user_id)
        return view

    async def get(self, conversation_id: str, user_id: str) -> Conversation:
        """The conversation, for one of its participants. Raises ``Forbidden``."""
        conversation = await self._store.find_conversation(conversation_id)
        if conversation is None or user_id not in conversation.participant_ids:
            raise Forbidden("not a participant of this conversation")
        return conversation

    async def require_participant(self, conversation_id: str, user_id: str) -> None:
        """Raises ``Forbidden`` unless the user takes part."""
        if not await self._store.is_participant(conversation_id, user_id):
            raise Forbidden("not a participant of this conversation")

    async def acquaintances(self, user_id: str, among: list[str]) -> list[str]:
        """Those of ``among`` with whom the user shares a conversation, in the order given; the user included."""
        names = list(dict.fromkeys(among))
        memberships = await self._store.memberships([user_id, *names])
        mine = memberships[user_id]
        return [name for name in names if name == user_id or memberships[name] & mine]

    async def conversation_ids_of(self, user_id: str) -> list[str]:
        """Ids of all conversations the user takes part in."""
        return sorted((await self._store.memberships([user_id]))[user_id])

    async def add_participant(self, conversation_id: str, user_id: str, *, by: str) -> ConversationView:
        """A participant adds somebody. Raises ``Forbidden`` or ``Invalid``."""
        await self.require_participant(conversation_id, by)
        await self._require_user(user_id)
        await self._store.add_participant(conversation_id, user_id)
        await self._announce_membership([user_id], conversation_id)
        return await self.view(conversation_id, by)

    async def remove_participant(self, conversation_id: str, user_id: str, *, by: str) -> None:
        """The creator removes somebody, or somebody leaves. Their sockets on it end, on every instance.

        Somebody who is not in it may be removed, too: twice is as once. Raises ``Forbidden`` or ``Invalid``.
        """
        conversation = await self.get(conversation_id, by)
        validated_user_id(user_id)
        if by not in (user_id, conversation.creator_id):
            raise Forbidden("only the creator removes others")
        await self._store.remove_participant(conversation_id, user_id)
        await self._announce_membership([user_id], conversation_id)

    async def _announce_membership(self, user_ids: list[str], conversation_id: str) -> None:
        """So that live sockets follow at once. Without it they follow a second later: see ``Reconciler``."""
        try:
            await self._router.publish_membership(user_ids, conversation_id)
        except Unavailable as error:
            logger.warning("a change of membership is not announced: %s", error)

    async def _views(self, found: list[Conversation], user_id: str) -> list[ConversationView]:
        positions = await self._store.positions([conversation.id for conversation in found])
        unread = await self._store.unread_counts(user_id)
        return [
            ConversationView(
                conversation=conversation,
                unread_count=unread.get(conversation.id, 0),
                positions=positions[conversation.id],
            )
            for conversation in found
        ]

    async def _require_user(self, user_id: str) -> None:
        if await self._store.find_user(validated_user_id(user_id)) is not None:
            return
        if not self._create_named_users:
            raise Invalid(f"there is no user {user_id}")
        await self._store.ensure_user(User(id=user_id, display_name=user_id))
