"""Limits in one process, with a clock that a test moves by hand."""

import time
from collections.abc import Callable

from reference_impl.core.limit_ports import MessageQuota, SlotStore
from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot
from reference_impl.model.errors import RateLimited
from reference_impl.model.rate_limiter import SlidingWindowLimiter


class MemorySlotStore(SlotStore):
    """Keeps the slots in a dict. ``now`` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends: dict[Slot, float] = {}

    async def take(self, slot: Slot, limits: ConnectionLimits, lease_s: float) -> LimitKind | None:
        """Counts, then takes: nothing here awaits, so nobody comes in between."""
        now = self._now()
        self._ends = {one: end for one, end in self._ends.items() if end > now}
        if sum(one.user_id == slot.user_id for one in self._ends) >= limits.per_user:
            return LimitKind.USER
        if sum(one.address == slot.address for one in self._ends) >= limits.per_address:
            return LimitKind.ADDRESS
        self._ends[slot] = now + lease_s
        return None

    async def renew(self, slots: list[Slot], lease_s: float) -> None:
        """Sets their ends anew."""
        self._ends |= dict.fromkeys(slots, self._now() + lease_s)

    async def release(self, slot: Slot) -> None:
        """Forgets it."""
        self._ends.pop(slot, None)

    async def stop(self) -> None:
        """Nothing to close."""


class MemoryMessageQuota(MessageQuota):
    """The limiter itself, which knows of this process alone."""

    def __init__(self, *, max_messages: int, window_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._limiter = SlidingWindowLimiter(max_messages, window_s)
        self._now = now

    async def take(self, user_id: str, wanted: int, unused: int = 0) -> int:
        """Exact to the message."""
        await self.give_back(user_id, unused)
        self._limiter.admit(user_id, self._now())
        for taken in range(1, wanted):
            try:
                self._limiter.admit(user_id, self._now())
            except RateLimited:
                return taken
        return wanted

    async def give_back(self, user_id: str, count: int) -> None:
        """Takes the last ones off."""
        for _ in range(count):
            self._limiter.give_back(user_id)

    async def stop(self) -> None:
        """Nothing to close."""
