"""Presence leases in one process, with a clock that a test moves by hand."""

import time
from collections.abc import Callable

from reference_impl.core.ports import PresenceStore
from reference_impl.model.presence import EndedLease, Lease, TakenLease


class MemoryPresenceStore(PresenceStore):
    """Keeps the leases in a dict. ``now`` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends: dict[Lease, float] = {}
        self._lost: set[Lease] = set()

    async def renew(self, leases: list[Lease], lease_s: float) -> list[TakenLease]:
        """Takes or renews leases."""
        taken = []
        for lease in leases:
            if lease not in self._ends:
                taken.append(TakenLease(lease, self._live(lease.user_id)))
            self._ends[lease] = self._now() + lease_s
        return taken

    async def release(self, lease: Lease, linger_s: float, *, is_lost: bool = False) -> None:
        """Shortens a lease; a goodbye also those that the same device has lost."""
        ending = [lease] if is_lost else [lease, *(lost for lost in self._lost if lost.is_same_device(lease))]
        for one in ending:
            if one in self._ends:
                self._ends[one] = min(self._ends[one], self._now() + linger_s)
        if is_lost and lease in self._ends:
            self._lost.add(lease)

    async def expire(self) -> list[EndedLease]:
        """Removes what is over."""
        ended = [lease for lease, end in self._ends.items() if end <= self._now()]
        reports = []
        for lease in ended:
            del self._ends[lease]
            self._lost.discard(lease)
            reports.append(EndedLease(lease, self._live(lease.user_id)))
        return reports

    async def holds(self, lease: Lease) -> bool:
        """Whether it is there."""
        return lease in self._ends

    async def online(self, user_ids: list[str]) -> set[str]:
        """Who has a live lease."""
        return {user_id for user_id in user_ids if self._live(user_id)}

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        """The live ones of each."""
        return {user_id: live for user_id in user_ids if (live := self._live(user_id))}

    async def stop(self) -> None:
        """Nothing to close."""

    def _live(self, user_id: str) -> list[Lease]:
        return [lease for lease, end in self._ends.items() if lease.user_id == user_id and end > self._now()]
