"""How far each member has come, in a SQL database."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from reference_impl.adapters.group_commit import GroupCommit
from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_prepared import Prepared, among
from reference_impl.adapters.sql_schema import conversations, messages, participants
from reference_impl.model.positions import MemberPositions, Position, PositionKind, Uncovered, furthest

LARGEST_GROUP = 100
COLUMN = {
    PositionKind.READ: participants.c.last_read_seq,
    PositionKind.DELIVERED: participants.c.last_delivered_seq,
    PositionKind.COVERED: participants.c.last_covered_seq,
}

MEMBER = (participants.c.conversation_id, participants.c.user_id)
STORED = Prepared(
    select(*MEMBER, conversations.c.seq, *COLUMN.values())
    .join_from(participants, conversations)
    .where(among(MEMBER, "members"))
    # Locked, in one order for all instances: what is decided on must not change before it is written.
    .order_by(*MEMBER)
    .with_for_update(of=participants, key_share=True)
)
MOVE = {
    kind: Prepared(
        update(participants)
        .where(participants.c.conversation_id == bindparam("c"), participants.c.user_id == bindparam("u"))
        .where(column < bindparam("new_seq"))
        .values({column: bindparam("new_seq")})
    )
    for kind, column in COLUMN.items()
}
POSITIONS = Prepared(
    select(*MEMBER, participants.c.last_delivered_seq, participants.c.last_read_seq).where(
        among([participants.c.conversation_id], "conversations")
    )
)
COVER = Prepared(
    update(conversations)
    .where(conversations.c.id == bindparam("c"), conversations.c.covered_seq < bindparam("new_seq"))
    .values(covered_seq=bindparam("new_seq"))
)


def _uncovered(member: ColumnElement[bool]) -> Prepared:
    return Prepared(
        select(conversations.c.id, conversations.c.seq, participants.c.user_id, participants.c.last_covered_seq)
        .select_from(conversations.outerjoin(participants, member))
        .where(among([conversations.c.id], "conversations"))
    )


IS_MEMBER = participants.c.conversation_id == conversations.c.id
UNCOVERED = _uncovered(IS_MEMBER)
UNCOVERED_OF = _uncovered(IS_MEMBER & among([participants.c.user_id], "users"))


class SqlPositionStore:
    """Three numbers a member. A thousand members who read the same message are few transactions, not a thousand."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._advances: GroupCommit[list[Position], list[Position]] = GroupCommit(
            self._advance_group, largest=LARGEST_GROUP
        )

    async def advance(self, positions: list[Position]) -> list[Position]:
        """Moves positions forward, together with the others that come at this moment."""
        return await self._advances.submit(positions)

    async def positions(self, conversation_ids: Sequence[str]) -> dict[str, dict[str, MemberPositions]]:
        """All members of all these conversations in one query."""
        found: dict[str, dict[str, MemberPositions]] = {name: {} for name in conversation_ids}
        asked = {"conversations": [[name] for name in conversation_ids]}
        for name, user_id, delivered, read in await self._database.read(lambda c: POSITIONS.rows(c, asked)):
            found[name][user_id] = MemberPositions(delivered=delivered, read=read)
        return found

    async def unread_counts(self, user_id: str) -> dict[str, int]:
        """One query; it walks over the unread messages alone."""
        unread = (messages.c.conversation_id == participants.c.conversation_id) & (
            messages.c.seq > participants.c.last_read_seq
        )
        query = (
            select(participants.c.conversation_id, func.count(messages.c.id).label("unread"))
            .select_from(participants.outerjoin(messages, unread & (messages.c.sender_id != user_id)))
            .where(participants.c.user_id == user_id)
            .group_by(participants.c.conversation_id)
        )
        return {row.conversation_id: row.unread for row in await self._database.rows(query)}

    async def uncovered_conversations(self, after: str, limit: int) -> dict[str, int]:
        """By the index of them, which is short."""
        is_uncovered = conversations.c.covered_seq < conversations.c.seq
        query = select(conversations.c.id, conversations.c.seq).where(is_uncovered, conversations.c.id > after)
        query = query.order_by(conversations.c.id).limit(limit)
        return {row.id: row.seq for row in await self._database.rows(query)}

    async def uncovered(
        self, conversation_ids: Sequence[str], user_ids: Sequence[str] | None = None
    ) -> dict[str, Uncovered]:
        """One query, so that the heads and how far their members are belong together."""
        asked = {"conversations": [[name] for name in conversation_ids]}
        query = UNCOVERED
        if user_ids is not None:
            query, asked = UNCOVERED_OF, asked | {"users": [[user_id] for user_id in user_ids]}
        found: dict[str, Uncovered] = {}
        for name, head, user_id, covered in await self._database.read(lambda c: query.rows(c, asked)):
            conversation = found.setdefault(name, Uncovered(head, {}))
            if user_id is not None:
                conversation.covered[user_id] = covered
        return found

    async def mark_covered(self, up_to: dict[str, int]) -> None:
        """Locks the conversations in the order in which all transactions do."""
        rows = [{"c": name, "new_seq": seq} for name, seq in sorted(up_to.items())]
        await self._database.write(lambda connection: COVER.run(connection, rows))

    async def _advance_group(self, take: Callable[[], list[list[Position]]]) -> list[list[Position] | Exception]:
        def advance(connection: Connection) -> list[Position]:
            moved = _moves(connection, furthest([position for positions in take() for position in positions]))
            for kind, move in MOVE.items():
                if rows := [_row(position) for position in moved if position.kind is kind]:
                    move.run(connection, rows)
            return moved

        moved = await self._database.write(advance)
        return [_part_of(moved, positions) for positions in take()]


def _moves(connection: Connection, wanted: list[Position]) -> list[Position]:
    """Those that are ahead of what is stored, none of them beyond the head."""
    members = {(position.conversation_id, position.user_id) for position in wanted}
    stored = {(name, user): rest for name, user, *rest in STORED.rows(connection, {"members": list(members)})}
    moves = []
    for position in wanted:
        if (position.conversation_id, position.user_id) in stored:
            head, *known = stored[position.conversation_id, position.user_id]
            seq = min(position.seq, head)
            if seq > dict(zip(COLUMN, known, strict=True))[position.kind]:
                moves.append(msgspec.structs.replace(position, seq=seq))
    return moves


def _row(position: Position) -> dict[str, object]:
    return {"c": position.conversation_id, "u": position.user_id, "new_seq": position.seq}


def _part_of(moved: list[Position], asked: list[Position]) -> list[Position]:
    """Of the group's moves, those that this caller asked for."""
    members = {(position.conversation_id, position.user_id) for position in asked}
    return [position for position in moved if (position.conversation_id, position.user_id) in members]
