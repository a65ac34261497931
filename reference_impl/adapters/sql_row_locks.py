"""Locks on rows, for databases that let several transactions write at a time.

Always in the same order, conversations before participants before users, and by id within each: so no two
transactions ever wait for each other. SQLite ignores all of them: there, a writer is alone from the start.
"""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference_impl.adapters.sql_schema import conversations, users


async def lock_conversations(connection: AsyncConnection, conversation_ids: Collection[str]) -> dict[str, int]:
    """The heads. Until the transaction ends nobody else gives out a number there, joins or leaves."""
    query = select(conversations.c.id, conversations.c.seq).where(conversations.c.id.in_(conversation_ids))
    # key_share: who only refers to the row, as every new participant does, need not wait.
    rows = await connection.execute(query.order_by(conversations.c.id).with_for_update(key_share=True))
    return {row.id: row.seq for row in rows}


async def lock_users(connection: AsyncConnection, user_ids: Collection[str]) -> None:
    """Until the transaction ends nobody else changes these users."""
    query = select(users.c.id).where(users.c.id.in_(user_ids)).order_by(users.c.id)
    await connection.execute(query.with_for_update(key_share=True))
