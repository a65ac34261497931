"""Stand-ins for the outside, that tests can make fail or stall."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.ports import Transport
from reference_impl.core.trace import HopRecorder

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class FakeTransport(Transport):
    """A socket that notes what it was given. ``reading`` cleared, it stalls; ``fail_*`` set, it raises."""

    def __init__(self, *, fail_accept: bool = False, fail_send: bool = False) -> None:
        self.sent: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.fail_accept = fail_accept
        self.fail_send = fail_send
        self.reading = asyncio.Event()
        self.reading.set()
        self.accepting = asyncio.Event()
        self.accepting.set()

    async def accept(self) -> None:
        await self.accepting.wait()
        if self.fail_accept:
            raise OSError("the peer is gone")

    async def send_text(self, text: str) -> None:
        await self.reading.wait()
        if self.fail_send:
            raise OSError("the peer is gone")
        self.sent.append(text)

    async def close(self, code: int, reason: str) -> None:
        await self.reading.wait()
        self.closed = (code, reason)

    def frames(self) -> list[dict[str, Any]]:
        """What was sent, decoded."""
        return [json.loads(text) for text in self.sent]


def connection_manager(**settings: Any) -> ConnectionManager:
    """A manager with an instance id, a clock that stands still, and no recorder."""
    return ConnectionManager(instance_id="i-test", clock=lambda: NOON, recorder=HopRecorder(), **settings)


async def until(condition: Any, deadline: float = 5) -> None:
    """Returns once ``condition()`` holds; lets other tasks run meanwhile. Fails after ``deadline`` seconds."""
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110 - waits for anything, not for one event
            await asyncio.sleep(0.001)
