"""Messages in a SQL database."""

from datetime import UTC

import msgspec
from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_schema import conversations, messages, participants
from reference_impl.core.ports import MessageStore
from reference_impl.model.errors import Forbidden
from reference_impl.model.messages import MessageDraft, MessageInfo


class SqlMessageStore(MessageStore):
    """``append`` is one transaction: the conversation's row gives out the next number and stays locked
    until the message is in. Two instances that write at once get two numbers, in the order of their
    commits, and a transaction that fails gives its number back: no gaps.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def append(self, draft: MessageDraft) -> tuple[MessageInfo, bool]:
        """Stores a message under the next ``seq``."""
        async with self._database.write() as connection:
            await _require_participant(connection, draft)
            if (known := await _sent_before(connection, draft)) is not None:
                return known, False
            next_seq = (
                update(conversations)
                .where(conversations.c.id == draft.conversation_id)
                .values(seq=conversations.c.seq + 1)
                .returning(conversations.c.seq)
            )
            message = draft.numbered((await connection.execute(next_seq)).scalar_one())
            await connection.execute(insert(messages).values(seq=message.seq, **msgspec.structs.asdict(draft)))
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
        query = select(messages).where(messages.c.conversation_id == conversation_id).limit(limit)
        if before_seq is not None:
            query = query.where(messages.c.seq < before_seq)
        if after_seq is not None:
            query = query.where(messages.c.seq > after_seq).order_by(messages.c.seq)
        else:
            query = query.order_by(messages.c.seq.desc())
        async with self._database.read() as connection:
            page = [_message(row) for row in (await connection.execute(query)).mappings()]
        return page if after_seq is not None else page[::-1]

    async def head(self, conversation_id: str) -> int:
        """The last ``seq``."""
        query = select(conversations.c.seq).where(conversations.c.id == conversation_id)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar() or 0


async def _require_participant(connection: AsyncConnection, draft: MessageDraft) -> None:
    """In the transaction itself: who is removed at this moment is either in time or not, never half."""
    query = select(participants.c.user_id).where(
        participants.c.conversation_id == draft.conversation_id, participants.c.user_id == draft.sender_id
    )
    if (await connection.execute(query)).scalar() is None:
        raise Forbidden("not a participant of this conversation")


async def _sent_before(connection: AsyncConnection, draft: MessageDraft) -> MessageInfo | None:
    if draft.client_message_id is None:
        return None
    query = select(messages).where(
        messages.c.sender_id == draft.sender_id, messages.c.client_message_id == draft.client_message_id
    )
    row = (await connection.execute(query)).mappings().first()
    return _message(row) if row is not None else None


def _message(row: RowMapping) -> MessageInfo:
    fields = {name: row[name] for name in row}
    fields["timestamp"] = row["timestamp"].replace(tzinfo=UTC)  # SQLite keeps no zone; we only ever write UTC
    return MessageInfo(**fields)
