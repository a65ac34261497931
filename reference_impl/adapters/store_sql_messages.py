"""Messages in a SQL database."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, func, insert, literal, select, update

from reference_impl.adapters.group_commit import GroupCommit
from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_prepared import Prepared, among
from reference_impl.adapters.sql_row_locks import lock_conversations
from reference_impl.adapters.sql_schema import conversations, longest_text, messages, outbox, participants
from reference_impl.core.ports import Appended, MessageStore
from reference_impl.model.errors import Forbidden, Invalid
from reference_impl.model.json_values import has_only_text
from reference_impl.model.messages import MessageDraft, MessageInfo

LARGEST_GROUP = 200
"""Messages in one transaction, at most. More would only make those at the front wait for those behind."""

MEMBER = (participants.c.conversation_id, participants.c.user_id)
MEMBERS = Prepared(select(*MEMBER).where(among(MEMBER, "members")))

SENDERS_NAME = (messages.c.sender_id, messages.c.client_message_id)
STORED_NAMES = Prepared(select(*SENDERS_NAME).where(among(SENDERS_NAME, "names")))
STORED = select(messages).where(among(SENDERS_NAME, "names"))

HEADS = Prepared(select(conversations.c.id, conversations.c.seq).where(among([conversations.c.id], "conversations")))

ADD_MESSAGE = Prepared(insert(messages))
ADD_TO_OUTBOX = Prepared(insert(outbox))
LEFT_IN = Prepared(
    select(outbox.c.conversation_id, func.max(outbox.c.seq))
    .where(outbox.c.created_at < bindparam("before"))
    .group_by(outbox.c.conversation_id)
)
TAKE_OUT = Prepared(
    delete(outbox).where(outbox.c.conversation_id == bindparam("conversation"), outbox.c.seq <= bindparam("up_to"))
)
MOVE_HEAD = Prepared(
    update(conversations).where(conversations.c.id == bindparam("conversation")).values(seq=bindparam("head"))
)


class SqlMessageStore(MessageStore):
    """A message, its number and its outbox row are one transaction.

    The conversation's row gives out the number and stays locked until the message is in. Two instances that
    write at once get two numbers, in the order of their commits, and a transaction that fails gives its
    numbers back: no gaps.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._appends: GroupCommit[MessageDraft, Appended] = GroupCommit(self._append_group, largest=LARGEST_GROUP)

    async def append(self, draft: MessageDraft) -> Appended:
        """Stores a message under the next ``seq``, together with the others that arrive at this moment."""
        _require_fitting(draft)
        return await self._appends.submit(draft)

    async def has_sent(self, sender_id: str, client_message_id: str) -> bool:
        """One look into the index that keeps them unique."""
        named = (messages.c.sender_id == sender_id) & (messages.c.client_message_id == client_message_id)
        return len(await self._database.rows(select(messages.c.id).where(named))) > 0

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
            query = query.where(messages.c.seq < literal(before_seq, BigInteger))  # a client may name any number
        if after_seq is not None:
            query = query.where(messages.c.seq > literal(after_seq, BigInteger)).order_by(messages.c.seq)
        else:
            query = query.order_by(messages.c.seq.desc())
        page = [_message(row) for row in await self._database.rows(query)]
        return page if after_seq is not None else page[::-1]

    async def heads(self, conversation_ids: Sequence[str]) -> dict[str, int]:
        """The last ``seq`` of each."""
        asked = {"conversations": [[conversation_id] for conversation_id in conversation_ids]}
        found: dict[str, int] = dict(await self._database.read(lambda connection: HEADS.rows(connection, asked)))
        return {conversation_id: found.get(conversation_id, 0) for conversation_id in conversation_ids}

    async def unannounced(self, before: datetime) -> dict[str, int]:
        """The highest waiting ``seq`` of each conversation that has one."""
        return dict(await self._database.read(lambda connection: LEFT_IN.rows(connection, {"before": before})))

    async def mark_announced(self, up_to: dict[str, int]) -> None:
        """Deletes the outbox rows."""
        in_order = [{"conversation": name, "up_to": seq} for name, seq in sorted(up_to.items())]
        await self._database.write(lambda connection: TAKE_OUT.run(connection, in_order))

    async def _append_group(self, take: Callable[[], list[MessageDraft]]) -> list[Appended | Exception]:
        def append(connection: Connection) -> list[Appended | Exception]:
            drafts = take()
            # The lock comes first: what is read after it can not change any more until we are done.
            seqs = lock_conversations(connection, {draft.conversation_id for draft in drafts})
            members = _members_among(connection, drafts)
            known = _sent_before(connection, drafts)
            results = [_decide(draft, seqs, members, known) for draft in drafts]
            new = [result.message for result in results if not isinstance(result, Exception) and result.is_new]
            _write(connection, new, seqs)
            return results

        return await self._database.write(append)  # again, if one client_message_id comes to two conversations


def _require_fitting(draft: MessageDraft) -> None:
    """Before it joins a group: a text that a column can not hold would fail all of them."""
    for name, longest in longest_text(messages).items():
        value = getattr(draft, name)
        if value is not None and (len(value) > longest or not has_only_text(value)):
            raise Invalid(f"{name} must have at most {longest} characters, no NUL and no half of one among them")


def _decide(
    draft: MessageDraft,
    seqs: dict[str, int],
    members: set[tuple[str, str]],
    known: dict[tuple[str, str], MessageInfo],
) -> Appended | Exception:
    """What becomes of one draft; notes it in ``seqs`` and ``known`` for the drafts behind it in the group."""
    if (draft.conversation_id, draft.sender_id) not in members:
        return Forbidden("not a participant of this conversation")
    if draft.client_message_id is not None:
        first = known.get((draft.sender_id, draft.client_message_id))
        if first is not None and first.conversation_id != draft.conversation_id:
            return Invalid("this client_message_id was used in another conversation")
        if first is not None:
            return Appended(first, is_new=False)
    seqs[draft.conversation_id] += 1
    message = draft.numbered(seqs[draft.conversation_id])
    if draft.client_message_id is not None:
        known[draft.sender_id, draft.client_message_id] = message
    return Appended(message, is_new=True)


def _members_among(connection: Connection, drafts: list[MessageDraft]) -> set[tuple[str, str]]:
    """In the transaction itself: who is removed at this moment is either in time or not, never half."""
    senders = {(draft.conversation_id, draft.sender_id) for draft in drafts}
    return set(map(tuple, MEMBERS.rows(connection, {"members": list(senders)})))


def _sent_before(connection: Connection, drafts: list[MessageDraft]) -> dict[tuple[str, str], MessageInfo]:
    names = [(draft.sender_id, draft.client_message_id) for draft in drafts if draft.client_message_id is not None]
    if not names or not STORED_NAMES.rows(connection, {"names": names}):  # as good as always
        return {}
    found = [_message(row) for row in connection.execute(STORED, {"names": names})]
    return {(one.sender_id, one.client_message_id or ""): one for one in found}


def _write(connection: Connection, new: list[MessageInfo], seqs: dict[str, int]) -> None:
    if not new:
        return
    rows = [msgspec.structs.asdict(message) for message in new]
    for row in rows:
        del row["is_read"]  # not a fact about the message, but about who asks
    ADD_MESSAGE.run(connection, rows)
    ADD_TO_OUTBOX.run(
        connection,
        [{"conversation_id": one.conversation_id, "seq": one.seq, "created_at": one.timestamp} for one in new],
    )
    changed = {message.conversation_id for message in new}
    MOVE_HEAD.run(connection, [{"conversation": name, "head": seqs[name]} for name in changed])


def _message(row: Row[Any]) -> MessageInfo:
    fields = dict(row._mapping)
    fields["timestamp"] = row.timestamp.replace(tzinfo=UTC)  # SQLite keeps no zone; we only ever write UTC
    return MessageInfo(**fields)
