"""Who is barred although their token is good: signed out, or banned."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from reference_impl.core.access_ports import AccessStore
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock
from reference_impl.model.conversations import validated_user_id
from reference_impl.model.errors import AuthenticationFailed, Forbidden, Unavailable
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)

FRESH_S = 1.0
"""How long an answer of the store counts: a token that is used all the time costs one look a second."""

REMEMBERED = 10_000
"""Answers kept before all of them are forgotten."""


class AccessService:
    """Signs tokens out, bans users, and says whether a token still counts.

    Here at once; on the other instances when they hear of it; and where they do not, within a second or so: live
    sockets by the reconciler, requests by ``FRESH_S``.
    """

    def __init__(
        self,
        *,
        store: AccessStore,
        memberships: Memberships,
        message_router: MessageRouter,
        clock: Clock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._memberships = memberships
        self._router = message_router
        self._clock = clock
        self._now = now
        self._let_in: dict[tuple[str, str], float] = {}

    async def require(self, identity: Identity) -> None:
        """Raises ``AuthenticationFailed`` for a token that was signed out, ``Forbidden`` for a banned user, or
        ``Unavailable``.
        """
        key, now = (identity.user_id, identity.token_id), self._now()
        if now - self._let_in.get(key, now - FRESH_S) < FRESH_S:
            return
        access = (await self._store.access_of([identity.user_id]))[identity.user_id]
        if access.is_banned:
            raise Forbidden("this user is banned")
        if identity.token_id in access.revoked_token_ids:
            raise AuthenticationFailed("this token was signed out")
        if len(self._let_in) >= REMEMBERED:
            self._let_in.clear()
        self._let_in[key] = now

    async def sign_out(self, identity: Identity) -> None:
        """Ends a token, the tickets behind it, and the live sockets that it opened. Raises ``Unavailable``."""
        await self._store.revoke_token(identity.token_id, identity.user_id, identity.expires_at, now=self._clock())
        await self._enforce(identity.user_id)

    async def ban(self, user_id: str, *, by: str) -> None:
        """Keeps a user out, and ends their live sockets. Raises ``Invalid`` or ``Unavailable``."""
        await self._store.ban(validated_user_id(user_id), self._clock())
        logger.warning("%s has banned %s", by, user_id)
        await self._enforce(user_id)

    async def unban(self, user_id: str, *, by: str) -> None:
        """Lets a user in again. Raises ``Invalid`` or ``Unavailable``."""
        await self._store.unban(validated_user_id(user_id))
        logger.warning("%s has lifted the ban of %s", by, user_id)

    async def banned_users(self) -> dict[str, datetime]:
        """``user_id`` → since when. Raises ``Unavailable``."""
        return await self._store.banned_users()

    async def _enforce(self, user_id: str) -> None:
        self._let_in.clear()
        await self._memberships.refresh([user_id])
        try:
            await self._router.publish_membership([user_id])
        except Unavailable as error:
            logger.warning("other instances see the change of a user's access a moment later: %s", error)
