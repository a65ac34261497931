"""The store without a database, for tests of the parts above it."""

import msgspec

from reference_impl.core.ports import Store
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Forbidden
from reference_impl.model.messages import MessageDraft, MessageInfo


class MemoryStore(Store):
    """Keeps everything in dicts. Nothing here awaits, so each method is one transaction."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._conversations: dict[str, Conversation] = {}
        self._messages: dict[str, list[MessageInfo]] = {}
        self._by_client_id: dict[tuple[str, str], MessageInfo] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def append(self, draft: MessageDraft) -> tuple[MessageInfo, bool]:
        """Stores a message under the next ``seq``."""
        conversation = self._conversations.get(draft.conversation_id)
        if conversation is None or draft.sender_id not in conversation.participant_ids:
            raise Forbidden("not a participant of this conversation")
        client_id = (draft.sender_id, draft.client_message_id)
        if draft.client_message_id is not None and client_id in self._by_client_id:
            return self._by_client_id[draft.sender_id, draft.client_message_id], False
        message = draft.numbered(conversation.seq + 1)
        self._conversations[conversation.id] = msgspec.structs.replace(conversation, seq=message.seq)
        self._messages.setdefault(conversation.id, []).append(message)
        if draft.client_message_id is not None:
            self._by_client_id[draft.sender_id, draft.client_message_id] = message
        return message, True

    async def history(
        self,
        conversation_id: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int = 50,
    ) -> list[MessageInfo]:
        """A page of messages, ascending."""
        messages = self._messages.get(conversation_id, [])
        if before_seq is not None:
            messages = [m for m in messages if m.seq < before_seq]
        if after_seq is not None:
            return [m for m in messages if m.seq > after_seq][:limit]
        return messages[-limit:]

    async def head(self, conversation_id: str) -> int:
        """The last ``seq``."""
        conversation = self._conversations.get(conversation_id)
        return conversation.seq if conversation else 0

    async def ensure_user(self, user: User) -> User:
        """Creates or renames."""
        self._users[user.id] = user
        return user

    async def find_user(self, user_id: str) -> User | None:
        """The user, or None."""
        return self._users.get(user_id)

    async def create_conversation(self, conversation: Conversation) -> None:
        """Keeps it."""
        self._conversations[conversation.id] = conversation

    async def find_conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None."""
        return self._conversations.get(conversation_id)

    async def conversations_of(self, user_id: str) -> list[Conversation]:
        """Oldest first."""
        mine = [c for c in self._conversations.values() if user_id in c.participant_ids]
        return sorted(mine, key=lambda c: (c.created_at, c.id))

    async def is_participant(self, conversation_id: str, user_id: str) -> bool:
        """False also for what does not exist."""
        conversation = self._conversations.get(conversation_id)
        return conversation is not None and user_id in conversation.participant_ids

    async def add_participant(self, conversation_id: str, user_id: str) -> None:
        """Adds, once."""
        conversation = self._conversations[conversation_id]
        if user_id not in conversation.participant_ids:
            conversation.participant_ids.append(user_id)

    async def remove_participant(self, conversation_id: str, user_id: str) -> None:
        """Removes, if there."""
        conversation = self._conversations[conversation_id]
        if user_id in conversation.participant_ids:
            conversation.participant_ids.remove(user_id)
