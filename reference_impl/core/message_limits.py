"""The limit on messages, over all instances."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from reference_impl.core.limit_ports import MessageQuota
from reference_impl.model.errors import RateLimited, Unavailable
from reference_impl.model.rate_limiter import SlidingWindowLimiter, over_quota

logger = logging.getLogger(__name__)

PATIENCE_S = 0.1
"""How long a message waits for the shared count at most."""

PAUSE_S = 1.0
"""How long nobody asks again after that: a slow Redis delays one message a second, not each of them."""

REMEMBERED = 1000
"""Refused users remembered before those whose time is over are looked for and forgotten."""


class MessageLimits:
    """Admits messages, or says when to try again.

    This instance counts first, without waiting: who is over the limit here is over it everywhere, and a flood of
    refused messages costs no round trip. Then the shared count decides. While that is away or slow, what this
    instance knows has to do: the limit then holds per instance.
    """

    def __init__(
        self,
        quota: MessageQuota | None,
        *,
        max_messages: int,
        window_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        """Messages refused by this instance, since the start."""
        self.unshared = 0
        """Messages counted by this instance alone, since the shared count was away; since the start."""
        self._quota = quota
        self._here = SlidingWindowLimiter(max_messages, window_s)
        self._now = now
        self._refused_until: dict[str, float] = {}
        self._ask_again_at = 0.0

    async def admit(self, user_id: str) -> None:
        """Counts one message of a user. Raises ``RateLimited``, and then counts nothing."""
        try:
            self._admit_here(user_id, self._now())
            await self._admit_everywhere(user_id)
        except RateLimited:
            self.refused += 1
            raise

    async def give_back(self, user_id: str) -> None:
        """Counts one message less: it was not new, or could not be stored."""
        self._here.give_back(user_id)
        if self._quota is not None:
            with suppress(Unavailable, TimeoutError):  # then it stays counted: on the safe side
                await self._ask(self._quota.give_back, user_id)

    def _admit_here(self, user_id: str, now: float) -> None:
        until = self._refused_until.get(user_id, now)
        if until > now:
            raise over_quota(self._here.max_messages, self._here.window_s, until - now)
        self._here.admit(user_id, now)

    async def _admit_everywhere(self, user_id: str) -> None:
        if self._quota is None:
            return
        try:
            await self._ask(self._quota.admit, user_id)
        except RateLimited as error:
            self._here.give_back(user_id)
            self._remember(user_id, self._now() + error.retry_after)
            raise
        except (Unavailable, TimeoutError):
            self.unshared += 1

    async def _ask(self, question: Callable[[str], Awaitable[None]], user_id: str) -> None:
        if self._now() < self._ask_again_at:
            raise Unavailable("the shared count was away a moment ago")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await question(user_id)
        except (Unavailable, TimeoutError) as error:
            self._ask_again_at = self._now() + PAUSE_S
            logger.warning("messages are counted by this instance alone: %s", error or "the shared count is slow")
            raise

    def _remember(self, user_id: str, until: float) -> None:
        if len(self._refused_until) >= REMEMBERED:
            now = self._now()
            self._refused_until = {user: end for user, end in self._refused_until.items() if end > now}
        self._refused_until[user_id] = until
