"""The store without a database, for tests of the parts above it."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from reference_impl.core.access_ports import Access
from reference_impl.core.ports import Appended, Store
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Forbidden, Invalid
from reference_impl.model.health import Health
from reference_impl.model.messages import MessageDraft, MessageInfo
from reference_impl.model.positions import MemberPositions, Position, PositionKind, Uncovered, furthest


class MemoryStore(Store):
    """Keeps everything in dicts. Nothing here awaits, so each method is one transaction."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._conversations: dict[str, Conversation] = {}
        self._messages: dict[str, list[MessageInfo]] = {}
        self._by_client_id: dict[tuple[str, str], MessageInfo] = {}
        self._outbox: dict[str, dict[int, datetime]] = {}
        self._membership_versions: Counter[str] = Counter()
        self._positions: dict[tuple[str, str, PositionKind], int] = {}
        self._covered: dict[str, int] = {}
        self._bans: dict[str, datetime] = {}
        self._revoked: dict[str, tuple[str, datetime]] = {}  # token id -> whose, and when it expires

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def health(self) -> Health:
        """Always well."""
        return Health("store")

    async def append(self, draft: MessageDraft) -> Appended:
        """Stores a message under the next ``seq``."""
        conversation = self._conversations.get(draft.conversation_id)
        if conversation is None or draft.sender_id not in conversation.participant_ids:
            raise Forbidden("not a participant of this conversation")
        client_id = (draft.sender_id, draft.client_message_id)
        if draft.client_message_id is not None and client_id in self._by_client_id:
            first = self._by_client_id[draft.sender_id, draft.client_message_id]
            if first.conversation_id != draft.conversation_id:
                raise Invalid("this client_message_id was used in another conversation")
            return Appended(first, is_new=False)
        message = draft.numbered(conversation.seq + 1)
        self._conversations[conversation.id] = msgspec.structs.replace(conversation, seq=message.seq)
        self._messages.setdefault(conversation.id, []).append(message)
        if draft.client_message_id is not None:
            self._by_client_id[draft.sender_id, draft.client_message_id] = message
        self._outbox.setdefault(conversation.id, {})[message.seq] = message.timestamp
        return Appended(message, is_new=True)

    async def has_sent(self, sender_id: str, client_message_id: str) -> bool:
        """Whether it is known."""
        return (sender_id, client_message_id) in self._by_client_id

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

    async def heads(self, conversation_ids: Sequence[str]) -> dict[str, int]:
        """The last ``seq`` of each."""
        return {name: self._conversations[name].seq if name in self._conversations else 0 for name in conversation_ids}

    async def unannounced(self, before: datetime) -> dict[str, int]:
        """The highest waiting ``seq`` of each conversation that has one."""
        waiting = {
            name: [seq for seq, stored_at in rows.items() if stored_at < before] for name, rows in self._outbox.items()
        }
        return {name: max(seqs) for name, seqs in waiting.items() if seqs}

    async def mark_announced(self, up_to: dict[str, int]) -> None:
        """Forgets the outbox rows."""
        for name, announced in up_to.items():
            rows = self._outbox.get(name, {})
            self._outbox[name] = {seq: stored_at for seq, stored_at in rows.items() if seq > announced}

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
        self._membership_versions.update(conversation.participant_ids)

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
            self._positions[conversation_id, user_id, PositionKind.COVERED] = conversation.seq
            self._membership_versions[user_id] += 1

    async def remove_participant(self, conversation_id: str, user_id: str) -> None:
        """Removes, if there."""
        conversation = self._conversations[conversation_id]
        if user_id in conversation.participant_ids:
            conversation.participant_ids.remove(user_id)
            self._membership_versions[user_id] += 1
            for kind in PositionKind:
                self._positions.pop((conversation_id, user_id, kind), None)

    async def memberships(self, user_ids: Sequence[str]) -> dict[str, set[str]]:
        """Looks through all conversations."""
        return {
            user_id: {c.id for c in self._conversations.values() if user_id in c.participant_ids}
            for user_id in user_ids
        }

    async def membership_versions(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Counted as they change."""
        return {user_id: self._membership_versions[user_id] for user_id in user_ids if user_id in self._users}

    async def advance(self, positions: list[Position]) -> list[Position]:
        """Moves positions forward."""
        moved = []
        for wanted in furthest(positions):
            conversation = self._conversations.get(wanted.conversation_id)
            if conversation is None or wanted.user_id not in conversation.participant_ids:
                continue
            key = (wanted.conversation_id, wanted.user_id, wanted.kind)
            seq = min(wanted.seq, conversation.seq)
            if seq > self._positions.get(key, 0):
                self._positions[key] = seq
                moved.append(msgspec.structs.replace(wanted, seq=seq))
        return moved

    async def positions(self, conversation_ids: Sequence[str]) -> dict[str, dict[str, MemberPositions]]:
        """Of every participant."""
        return {
            name: {user_id: self._position_of(name, user_id) for user_id in self._participants_of(name)}
            for name in conversation_ids
        }

    async def uncovered_conversations(self, after: str, limit: int) -> dict[str, int]:
        """Looks through all conversations."""
        heads = {name: one.seq for name, one in self._conversations.items() if self._covered.get(name, 0) < one.seq}
        return {name: heads[name] for name in [name for name in sorted(heads) if name > after][:limit]}

    async def uncovered(
        self, conversation_ids: Sequence[str], user_ids: Sequence[str] | None = None
    ) -> dict[str, Uncovered]:
        """How far each is."""
        found = {}
        for name in conversation_ids:
            if (conversation := self._conversations.get(name)) is not None:
                covered = {
                    user_id: self._positions.get((name, user_id, PositionKind.COVERED), 0)
                    for user_id in conversation.participant_ids
                    if user_ids is None or user_id in user_ids
                }
                found[name] = Uncovered(conversation.seq, covered)
        return found

    async def mark_covered(self, up_to: dict[str, int]) -> None:
        """Notes it."""
        for name, seq in up_to.items():
            self._covered[name] = max(seq, self._covered.get(name, 0))

    async def unread_counts(self, user_id: str) -> dict[str, int]:
        """Counts what others have said since."""
        return {
            name: sum(
                message.seq > self._position_of(name, user_id).read and message.sender_id != user_id
                for message in self._messages.get(name, [])
            )
            for name, conversation in self._conversations.items()
            if user_id in conversation.participant_ids
        }

    async def ban(self, user_id: str, at: datetime) -> None:
        """Once."""
        self._bans.setdefault(user_id, at)
        self._note_access(user_id)

    async def unban(self, user_id: str) -> None:
        """Forgets it."""
        if self._bans.pop(user_id, None):
            self._note_access(user_id)

    async def banned_users(self) -> dict[str, datetime]:
        """By name."""
        return dict(sorted(self._bans.items()))

    async def revoke_token(self, token_id: str, user_id: str, expires_at: datetime, *, now: datetime) -> None:
        """Notes it, and forgets what has expired."""
        self._revoked = {name: kept for name, kept in self._revoked.items() if kept[1] > now}
        self._revoked[token_id] = (user_id, expires_at)
        self._note_access(user_id)

    async def access_of(self, user_ids: Sequence[str]) -> dict[str, Access]:
        """Looks through all tokens."""

        def revoked(user_id: str) -> frozenset[str]:
            return frozenset(name for name, (owner, _) in self._revoked.items() if owner == user_id)

        return {user_id: Access(user_id in self._bans, revoked(user_id)) for user_id in user_ids}

    def _note_access(self, user_id: str) -> None:
        self._users.setdefault(user_id, User(id=user_id, display_name=user_id))
        self._membership_versions[user_id] += 1

    def _participants_of(self, conversation_id: str) -> list[str]:
        conversation = self._conversations.get(conversation_id)
        return conversation.participant_ids if conversation else []

    def _position_of(self, conversation_id: str, user_id: str) -> MemberPositions:
        def seq(kind: PositionKind) -> int:
            return self._positions.get((conversation_id, user_id, kind), 0)

        return MemberPositions(delivered=seq(PositionKind.DELIVERED), read=seq(PositionKind.READ))
