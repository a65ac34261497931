"""What bars users who could sign in otherwise, as a protocol."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class Access(msgspec.Struct, frozen=True):
    """What bars one user now."""

    is_banned: bool = False
    revoked_token_ids: frozenset[str] = frozenset()


class AccessStore(Protocol):
    """The truth about bans and about tokens that were signed out.

    Each change makes the user's membership version grow: whoever compares versions needs not look here.
    All methods raise ``Unavailable`` when the database is away.
    """

    async def ban(self, user_id: str, at: datetime) -> None:
        """Bars a user, whoever issued their tokens. A second time is no error."""

    async def unban(self, user_id: str) -> None:
        """Lets them in again. Who is not banned is no error."""

    async def banned_users(self) -> dict[str, datetime]:
        """``user_id`` → since when."""

    async def revoke_token(self, token_id: str, user_id: str, expires_at: datetime, *, now: datetime) -> None:
        """Bars one token, until it expires by itself. Forgets those that have. A second time is no error."""

    async def access_of(self, user_ids: Sequence[str]) -> dict[str, Access]:
        """``user_id`` → what bars them. Everybody named has an entry."""
