"""What is to be written in this turn of the event loop, written at its end."""

import asyncio
from typing import Protocol


class Writer(Protocol):
    """Somebody with something to write."""

    def flush(self) -> None:
        """Writes it. Must not raise."""


class Turn:
    """Collects who has something to write, and lets all of them do it before the next events are looked at.

    What becomes due for one socket in a turn becomes one write: eight messages that came from Redis in one piece go
    to a member in one ``send()``, which is most of what a delivery costs. Nobody waits for that: it is no timer.
    """

    def __init__(self) -> None:
        self._due: list[Writer] = []

    def add(self, writer: Writer) -> None:
        """Flushes it at the end of this turn."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush_all)
        self._due.append(writer)

    def _flush_all(self) -> None:
        due, self._due = self._due, []
        for writer in due:
            writer.flush()
