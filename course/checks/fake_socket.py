"""A socket for the cases of exercise 1."""

import asyncio
from typing import Any


class FakeSocket:
    """A socket that does what the case says."""

    def __init__(self, name: str, *, fails: bool = False, gate: asyncio.Event | None = None) -> None:
        self.name = name
        self.fails = fails
        self.dead = False
        self.got = 0
        self.closed = False
        self._gate = gate

    async def accept(self) -> None:
        """The handshake: may wait, may fail."""
        await asyncio.sleep(0)
        if self._gate is not None:
            await self._gate.wait()
        if self.fails:
            raise ConnectionError("the peer is gone")

    async def send_json(self, _payload: Any) -> None:
        """Raises once the peer is dead."""
        await asyncio.sleep(0)
        if self.dead:
            raise ConnectionError("the peer is gone")
        self.got += 1

    async def close(self, _code: int = 1000, _reason: str = "") -> None:
        """Never fails."""
        self.closed = True
