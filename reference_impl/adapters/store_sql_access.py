"""Bans and signed-out tokens in a SQL database."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_schema import bans, revoked_tokens, users
from reference_impl.core.access_ports import Access, AccessStore


class SqlAccessStore(AccessStore):
    """Each change is one transaction, in which the user's membership version grows."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def ban(self, user_id: str, at: datetime) -> None:
        """Once."""

        def write(connection: Connection) -> None:
            _note_change(connection, user_id)
            known = connection.scalar(select(bans.c.user_id).where(bans.c.user_id == user_id))
            if known is None:
                connection.execute(insert(bans).values(user_id=user_id, banned_at=at))

        await self._database.write(write)

    async def unban(self, user_id: str) -> None:
        """Removes the ban, if there is one."""

        def write(connection: Connection) -> None:
            if connection.execute(delete(bans).where(bans.c.user_id == user_id)).rowcount:
                _note_change(connection, user_id)

        await self._database.write(write)

    async def banned_users(self) -> dict[str, datetime]:
        """By name."""
        rows = await self._database.rows(select(bans).order_by(bans.c.user_id))
        return {row.user_id: row.banned_at.replace(tzinfo=UTC) for row in rows}

    async def revoke_token(self, token_id: str, user_id: str, expires_at: datetime, *, now: datetime) -> None:
        """Once. What has expired goes in the same transaction, so the table stays small by itself."""
        values = {"token_id": token_id, "user_id": user_id, "expires_at": expires_at}

        def write(connection: Connection) -> None:
            _note_change(connection, user_id)
            connection.execute(delete(revoked_tokens).where(revoked_tokens.c.expires_at <= now))
            known = select(revoked_tokens.c.token_id).where(revoked_tokens.c.token_id == token_id)
            if connection.scalar(known) is None:
                connection.execute(insert(revoked_tokens).values(values))

        await self._database.write(write)

    async def access_of(self, user_ids: Sequence[str]) -> dict[str, Access]:
        """Two queries for all of them."""

        def read(connection: Connection) -> dict[str, Access]:
            revoked: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
            banned = set(connection.scalars(select(bans.c.user_id).where(bans.c.user_id.in_(user_ids))))
            for row in connection.execute(select(revoked_tokens).where(revoked_tokens.c.user_id.in_(user_ids))):
                revoked[row.user_id].add(row.token_id)
            return {user_id: Access(user_id in banned, frozenset(revoked[user_id])) for user_id in user_ids}

        return await self._database.read(read)


def _note_change(connection: Connection, user_id: str) -> None:
    """Who sees the new number sees the change, too. Takes the user's row, and makes it where there is none."""
    newer = update(users).where(users.c.id == user_id).values(membership_version=users.c.membership_version + 1)
    if connection.execute(newer).rowcount == 0:
        connection.execute(insert(users).values(id=user_id, display_name=user_id, membership_version=1))
