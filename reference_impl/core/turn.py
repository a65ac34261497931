"""What is to be written in this turn of the event loop, written at its end."""

import asyncio
from collections.abc import Callable


class Turn:
    """Collects work during one turn of the event loop and does all of it before the next events are looked at.

    What becomes due for one socket in a turn becomes one write: eight messages that came from Redis in one piece go
    to a member in one ``send()``, which is most of what a delivery costs. Nobody waits for that: it is no timer.
    """

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def add(self, work: Callable[[], None]) -> None:
        """Does ``work()``, which must not raise, at the end of this turn."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._do_all)
        self._due.append(work)

    def _do_all(self) -> None:
        due, self._due = self._due, []
        for work in due:
            work()
