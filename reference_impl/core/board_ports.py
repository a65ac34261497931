"""What instances need to show each other how they are, as a protocol. ``ports.py`` has the others."""

from typing import Protocol


class Board(Protocol):
    """Short notes that instances pin up for each other. Each falls off by itself when it is not renewed.

    Nothing depends on it: it is looked at. All methods raise ``Unavailable`` when the other side is away.
    """

    async def post(self, name: str, note: bytes, ttl_s: float) -> dict[str, bytes]:
        """Pins up a note under ``name`` for ``ttl_s`` seconds, in place of the one that is there.

        Returns all notes by name, this one included. One round trip for both: who shows also looks.
        """

    async def remove(self, name: str) -> None:
        """Takes a note off. One that is not there is no error."""

    async def stop(self) -> None:
        """Ends the connections. Idempotent."""
