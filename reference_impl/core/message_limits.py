"""The limit on messages, over all instances."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from reference_impl.core.limit_ports import PARTS_OF_WINDOW, MessageQuota
from reference_impl.model.errors import RateLimited, Unavailable
from reference_impl.model.rate_limiter import SlidingWindowLimiter, over_quota

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PATIENCE_S = 0.5
"""How long a message waits for the shared count at most. Shorter, and a busy moment would double the limit."""

PAUSE_S = 1.0
"""How long nobody asks again after that: a slow Redis delays one message a second, not each of them."""

REMEMBERED = 1000
"""Users remembered before those whose time is over are looked for and forgotten."""


LARGEST_SHARE = 1 / 1000
"""How much of a user's limit an instance takes ahead at most. Small limits are counted to the message; of large ones
another instance may miss that little, and for a moment only.
"""


@dataclass
class _Allowance:
    """What an instance has taken for a user and may still spend, until ``ends_at``."""

    ends_at: float
    spent_before: int
    """In the allowance before, if that was just before."""
    unused: int
    """What was left of that one; not given back yet."""
    spent: int = 0
    left: int = 0


class _Line:
    """Messages of one user that wait for the shared count. First come, first served: none overtakes another."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


class MessageLimits:
    """Admits messages, or says when to try again.

    This instance counts first, without waiting: who is over the limit here is over it everywhere, and a flood of
    refused messages costs no round trip. Then the shared count decides. Who sends often is counted ahead: as many as
    they have sent in this sixtieth of the window, or in the one before, are taken at once; what is left of them is
    given back when more are taken, or a little later. Those that come while one waits are asked for together. So the
    shared count costs a slow sender one round trip a message, and a fast one next to nothing.

    A user's messages are admitted in the order of the calls.

    While it is away or slow, what this instance knows has to do: the limit then holds per instance.
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
        self._spend_within_s = window_s / PARTS_OF_WINDOW
        self._give_back_after_s = 1.5 * self._spend_within_s  # so long the next to be taken may give it back, too
        self._largest = max(1, int(max_messages * LARGEST_SHARE))
        self._allowances: dict[str, _Allowance] = {}
        self._refused_until: dict[str, float] = {}
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()  # those that somebody stands in
        self._ask_again_at = self._forget_again_at = 0.0
        self._returning: set[asyncio.Task[None]] = set()

    async def admit(self, user_id: str) -> None:
        """Counts one message of a user. Raises ``RateLimited``, and then counts nothing."""
        try:
            self._require_not_refused(user_id)
            self._here.admit(user_id, self._now())
            if self._quota is not None:
                await self._admit_everywhere(user_id, self._quota)
        except RateLimited:
            self.refused += 1
            raise

    async def give_back(self, user_id: str) -> None:
        """Counts one message less: it was not new, or could not be stored."""
        self._here.give_back(user_id)
        if self._quota is not None:
            with suppress(Unavailable, TimeoutError):  # then it stays counted: on the safe side
                await self._ask(self._quota.give_back(user_id, 1))

    async def stop(self) -> None:
        """Returns when what is on its way back has arrived. Idempotent."""
        if self._returning:
            await asyncio.wait(self._returning)

    def _require_not_refused(self, user_id: str) -> None:
        now = self._now()
        if (until := self._refused_until.get(user_id, now)) > now:
            raise over_quota(self._here.max_messages, self._here.window_s, until - now)

    async def _admit_everywhere(self, user_id: str, quota: MessageQuota) -> None:
        allowance, line = self._allowance_of(user_id), self._lines.get(user_id)
        allowance.spent += 1
        if line is None and allowance.left:
            allowance.left -= 1
            return
        if line is None:
            line = self._lines[user_id] = _Line()
        line.length += 1
        try:
            async with line.turn:
                await self._be_counted(user_id, line, quota)
        except RateLimited:
            self._here.give_back(user_id)
            raise
        finally:
            line.length -= 1

    async def _be_counted(self, user_id: str, line: _Line, quota: MessageQuota) -> None:
        """It is this message's turn: what was taken for those before it may do for it, too."""
        self._require_not_refused(user_id)
        allowance = self._allowance_of(user_id)
        if allowance.left:
            allowance.left -= 1
            return
        ahead = min(max(allowance.spent_before, allowance.spent), self._largest)
        unused, allowance.unused = allowance.unused, 0
        try:
            taken = await self._ask(quota.take(user_id, max(line.length, ahead), unused))
        except RateLimited as error:
            self._remember(user_id, self._now() + error.retry_after)
            raise
        except (Unavailable, TimeoutError):
            self.unshared += 1
            return
        if taken > 1:
            allowance.left += taken - 1
            asyncio.get_running_loop().call_later(self._give_back_after_s, self._end, user_id, allowance, quota)

    def _allowance_of(self, user_id: str) -> _Allowance:
        now, before = self._now(), self._allowances.get(user_id)
        if before is not None and before.ends_at > now:
            return before
        self._forget(now)
        made = _Allowance(now + self._spend_within_s, spent_before=0, unused=0)
        if before is not None:
            if before.ends_at + self._spend_within_s > now:
                made.spent_before = before.spent
            made.unused, before.left = before.left, 0
        self._allowances[user_id] = made
        return made

    def _end(self, user_id: str, allowance: _Allowance, quota: MessageQuota) -> None:
        left, allowance.left = allowance.left, 0
        if left:
            task = asyncio.create_task(self._try_to_give_back(user_id, left, quota))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    async def _try_to_give_back(self, user_id: str, count: int, quota: MessageQuota) -> None:
        with suppress(Unavailable, TimeoutError):  # then they stay counted until the window is over
            await self._ask(quota.give_back(user_id, count))

    async def _ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        if self._now() < self._ask_again_at:
            question.close()
            raise Unavailable("the shared count was away a moment ago")
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question
        except (Unavailable, TimeoutError) as error:
            self._ask_again_at = self._now() + PAUSE_S
            logger.warning("messages are counted by this instance alone: %s", str(error) or "the shared count is slow")
            raise

    def _remember(self, user_id: str, until: float) -> None:
        self._forget(self._now())
        self._refused_until[user_id] = until

    def _forget(self, now: float) -> None:
        """Those whose time is over, once there are many, and now and then: looking at all of them takes time."""
        if len(self._allowances) + len(self._refused_until) < REMEMBERED or now < self._forget_again_at:
            return
        self._forget_again_at = now + self._spend_within_s
        self._allowances = {user: one for user, one in self._allowances.items() if one.ends_at > now}
        self._refused_until = {user: end for user, end in self._refused_until.items() if end > now}
