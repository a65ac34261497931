"""Locks on rows, for databases that let several transactions write at a time.

Always in the same order, conversations before participants before users, and by id within each: so no two
transactions ever wait for each other. SQLite ignores all of them: there, a writer is alone from the start.
"""

from collections.abc import Collection

from sqlalchemy import Connection, select

from reference_impl.adapters.sql_prepared import Prepared, among
from reference_impl.adapters.sql_schema import conversations, users

LOCKED_HEADS = Prepared(
    select(conversations.c.id, conversations.c.seq)
    .where(among([conversations.c.id], "ids"))
    .order_by(conversations.c.id)
    # key_share: who only refers to the row, as every new participant does, need not wait.
    .with_for_update(of=conversations, key_share=True)
)


def lock_conversations(connection: Connection, conversation_ids: Collection[str]) -> dict[str, int]:
    """The heads. Until the transaction ends nobody else gives out a number there, joins or leaves."""
    return dict(LOCKED_HEADS.rows(connection, {"ids": [[name] for name in conversation_ids]}))


def lock_users(connection: Connection, user_ids: Collection[str]) -> None:
    """Until the transaction ends nobody else changes these users."""
    query = select(users.c.id).where(users.c.id.in_(user_ids)).order_by(users.c.id)
    connection.execute(query.with_for_update(key_share=True))
