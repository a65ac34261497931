"""Users and conversations in a SQL database."""

from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import Connection, RowMapping, Select, bindparam, delete, func, insert, select, update

from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_prepared import Prepared, among
from reference_impl.adapters.sql_row_locks import lock_conversations, lock_users
from reference_impl.adapters.sql_schema import conversations, participants, users
from reference_impl.core.ports import ConversationStore
from reference_impl.model.conversations import Conversation, User

PARTICIPANT = Prepared(
    select(participants.c.user_id).where(
        participants.c.conversation_id == bindparam("conversation"), participants.c.user_id == bindparam("user")
    )
)
MEMBERSHIPS = Prepared(
    select(participants.c.user_id, participants.c.conversation_id).where(among([participants.c.user_id], "users"))
)
VERSIONS = Prepared(select(users.c.id, users.c.membership_version).where(among([users.c.id], "users")))


class SqlConversationStore(ConversationStore):
    """Each method is one transaction, or one read of one state."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def ensure_user(self, user: User) -> User:
        """Creates or renames."""
        rename = update(users).where(users.c.id == user.id).values(display_name=user.display_name)

        def rename_or_create(connection: Connection) -> User:
            if connection.execute(rename).rowcount == 0:
                connection.execute(insert(users).values(id=user.id, display_name=user.display_name))
            return user

        return await self._database.write(rename_or_create)  # again, if another instance creates them first

    async def find_user(self, user_id: str) -> User | None:
        """The user, or None."""
        rows = await self._database.rows(select(users).where(users.c.id == user_id))
        return User(id=rows[0].id, display_name=rows[0].display_name) if rows else None

    async def create_conversation(self, conversation: Conversation) -> None:
        """Stores the conversation and its participants."""
        values = {
            "id": conversation.id,
            "title": conversation.title,
            "creator_id": conversation.creator_id,
            "created_at": conversation.created_at,
            "seq": conversation.seq,
        }
        members = [
            {"conversation_id": conversation.id, "user_id": user_id, "position": position}
            for position, user_id in enumerate(conversation.participant_ids)
        ]

        def create(connection: Connection) -> None:
            connection.execute(insert(conversations).values(values))
            connection.execute(insert(participants), members)
            _note_change(connection, conversation.participant_ids)

        await self._database.write(create)

    async def find_conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None."""
        found = await self._select(select(conversations).where(conversations.c.id == conversation_id))
        return found[0] if found else None

    async def conversations_of(self, user_id: str) -> list[Conversation]:
        """Oldest first."""
        query = select(conversations).join(participants).where(participants.c.user_id == user_id)
        return await self._select(query.order_by(conversations.c.created_at, conversations.c.id))

    async def is_participant(self, conversation_id: str, user_id: str) -> bool:
        """False also for what does not exist."""
        return await self._database.read(lambda connection: _is_participant(connection, conversation_id, user_id))

    async def add_participant(self, conversation_id: str, user_id: str) -> None:
        """Adds, once."""
        last = select(func.max(participants.c.position)).where(participants.c.conversation_id == conversation_id)
        head = select(conversations.c.seq).where(conversations.c.id == conversation_id)

        def add(connection: Connection) -> None:
            lock_conversations(connection, [conversation_id])
            if _is_participant(connection, conversation_id, user_id):
                return
            values = {
                "conversation_id": conversation_id,
                "user_id": user_id,
                "position": (connection.execute(last).scalar() or 0) + 1,
                "last_covered_seq": connection.execute(head).scalar_one(),  # no push for what was said before
            }
            connection.execute(insert(participants).values(values))
            _note_change(connection, [user_id])

        await self._database.write(add)

    async def remove_participant(self, conversation_id: str, user_id: str) -> None:
        """Removes, if there."""
        membership = (participants.c.conversation_id == conversation_id) & (participants.c.user_id == user_id)

        def remove(connection: Connection) -> None:
            lock_conversations(connection, [conversation_id])
            if connection.execute(delete(participants).where(membership)).rowcount:
                _note_change(connection, [user_id])

        await self._database.write(remove)

    async def memberships(self, user_ids: Sequence[str]) -> dict[str, set[str]]:
        """One query for all of them."""
        found: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        asked = {"users": [[user_id] for user_id in user_ids]}
        rows = await self._database.read(lambda connection: MEMBERSHIPS.rows(connection, asked))
        for user_id, conversation_id in rows:
            found[user_id].add(conversation_id)
        return found

    async def membership_versions(self, user_ids: Sequence[str]) -> dict[str, int]:
        """One query for all of them."""
        asked = {"users": [[user_id] for user_id in user_ids]}
        return dict(await self._database.read(lambda connection: VERSIONS.rows(connection, asked)))

    async def _select(self, query: Select[*tuple[object, ...]]) -> list[Conversation]:
        def read(connection: Connection) -> list[Conversation]:
            rows = connection.execute(query).mappings().all()
            names = _participants_of(connection, [row["id"] for row in rows])
            return [_conversation(row, names[row["id"]]) for row in rows]

        return await self._database.read(read)


def _is_participant(connection: Connection, conversation_id: str, user_id: str) -> bool:
    return len(PARTICIPANT.rows(connection, {"conversation": conversation_id, "user": user_id})) > 0


def _note_change(connection: Connection, user_ids: Sequence[str]) -> None:
    """In the same transaction as the change: who sees the new number sees the change, too."""
    lock_users(connection, user_ids)
    change = update(users).where(users.c.id.in_(user_ids))
    connection.execute(change.values(membership_version=users.c.membership_version + 1))


def _participants_of(connection: Connection, conversation_ids: Sequence[str]) -> dict[str, list[str]]:
    """All participants of all these conversations in one query, in the order in which they joined."""
    names: dict[str, list[str]] = {conversation_id: [] for conversation_id in conversation_ids}
    query = select(participants.c.conversation_id, participants.c.user_id)
    query = query.where(participants.c.conversation_id.in_(conversation_ids)).order_by(participants.c.position)
    for conversation_id, user_id in connection.execute(query):
        names[conversation_id].append(user_id)
    return names


def _conversation(row: RowMapping, participant_ids: list[str]) -> Conversation:
    return Conversation(
        id=row["id"],
        title=row["title"],
        creator_id=row["creator_id"],
        participant_ids=participant_ids,
        created_at=row["created_at"].replace(tzinfo=UTC),  # SQLite keeps no zone; we only ever write UTC
        seq=row["seq"],
    )
