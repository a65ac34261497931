"""Single-use tickets in one process."""

import time
from collections.abc import Callable

from reference_impl.core.ports import TicketStore


class MemoryTicketStore(TicketStore):
    """Keeps tickets in a dict. ``now`` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tickets: dict[str, tuple[bytes, float]] = {}

    async def put(self, ticket: str, identity: bytes, ttl_s: float) -> None:
        """Keeps a ticket, and forgets those that have ended."""
        self._tickets = {name: kept for name, kept in self._tickets.items() if kept[1] > self._now()}
        self._tickets[ticket] = (identity, self._now() + ttl_s)

    async def take(self, ticket: str) -> bytes | None:
        """The identity, once."""
        identity, end = self._tickets.pop(ticket, (None, 0.0))
        return identity if end > self._now() else None
