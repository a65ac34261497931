"""A board without a network."""

import time
from collections.abc import Callable

from reference_impl.core.board_ports import Board


class MemoryBoard(Board):
    """Keeps the notes in a dict: instances that share it are in one process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._notes: dict[str, tuple[float, bytes]] = {}

    async def post(self, name: str, note: bytes, ttl_s: float) -> dict[str, bytes]:
        """Replaces it, and forgets those whose time is over."""
        now = self._now()
        self._notes[name] = (now + ttl_s, note)
        self._notes = {other: kept for other, kept in self._notes.items() if kept[0] > now}
        return {other: text for other, (_, text) in self._notes.items()}

    async def remove(self, name: str) -> None:
        """Forgets it."""
        self._notes.pop(name, None)

    async def stop(self) -> None:
        """Nothing to close."""
