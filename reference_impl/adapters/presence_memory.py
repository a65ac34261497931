"""Presence leases in one process, with a clock that a test moves by hand."""

import time
from collections.abc import Callable

from reference_impl.core.ports import PresenceStore


class MemoryPresenceStore(PresenceStore):
    """Keeps the leases in a dict. ``now`` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._leases: dict[str, dict[str, float]] = {}  # user_id -> connection_id -> end of the lease

    async def renew(self, leases: list[tuple[str, str]], lease_s: float) -> list[bool]:
        """Takes or renews leases."""
        were_online = []
        for user_id, connection_id in leases:
            others = self._live(user_id).keys() - {connection_id}
            were_online.append(bool(others))
            self._leases.setdefault(user_id, {})[connection_id] = self._now() + lease_s
        return were_online

    async def release(self, user_id: str, connection_id: str) -> bool:
        """Ends one lease."""
        self._leases.get(user_id, {}).pop(connection_id, None)
        return bool(self._live(user_id))

    async def online(self, user_ids: list[str]) -> set[str]:
        """Who has a live lease."""
        return {user_id for user_id in user_ids if self._live(user_id)}

    def _live(self, user_id: str) -> dict[str, float]:
        """The user's leases that have not ended; forgets the others."""
        live = {c: end for c, end in self._leases.get(user_id, {}).items() if end > self._now()}
        if live:
            self._leases[user_id] = live
        else:
            self._leases.pop(user_id, None)
        return live
