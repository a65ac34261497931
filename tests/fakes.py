"""Stand-ins for the outside, that tests can make fail or stall."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.ports import Transport
from reference_impl.core.trace import HopRecorder
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.messages import MessageDraft

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class FakeTransport(Transport):
    """A socket that notes what it was given. After ``stall()`` its peer does not read; ``fail_*`` set, it raises."""

    def __init__(self, *, fail_accept: bool = False, fail_send: bool = False) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.sent: list[str] = []
        self.writes: list[int] = []
        """How many frames came in each write."""
        self.closed: tuple[int, str] | None = None
        self.fail_accept = fail_accept
        self.fail_send = fail_send
        self.is_writable, self.is_closed = True, False
        self.accepting = asyncio.Event()
        self.accepting.set()

    async def accept(self) -> None:
        await self.accepting.wait()
        if self.fail_accept:
            raise OSError("the peer is gone")

    def write(self, frames: Sequence[EncodedFrame]) -> None:
        assert self.is_writable
        if self.fail_send:
            raise OSError("the peer is gone")
        self.writes.append(len(frames))
        self.sent += [frame.text for frame in frames]

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self.is_writable, self.is_closed = False, True
            self.on_change()

    def stall(self) -> None:
        """The peer stops reading."""
        self.is_writable = False

    def read_on(self) -> None:
        """It reads again."""
        self.is_writable = not self.is_closed
        self.on_change()

    def frames(self) -> list[dict[str, Any]]:
        """What was sent, decoded."""
        return [json.loads(text) for text in self.sent]


def draft(conversation_id: str = "talk", **fields: Any) -> MessageDraft:
    """What Ann says, unless ``fields`` say otherwise. Each has an id of its own."""
    usual: dict[str, Any] = {"id": str(uuid7()), "conversation_id": conversation_id, "timestamp": NOON}
    usual |= {"sender_id": "ann", "sender_type": "user", "sender_name": "Ann", "type": "text"}
    return MessageDraft(**usual | {"content": {"text": "hello"}} | fields)


def connection_manager(**settings: Any) -> ConnectionManager:
    """A manager with an instance id, a clock that stands still, and no recorder."""
    return ConnectionManager(instance_id="i-test", clock=lambda: NOON, recorder=HopRecorder(), **settings)


async def until(condition: Any, deadline: float = 5) -> None:
    """Returns once ``condition()`` holds; lets other tasks run meanwhile. Fails after ``deadline`` seconds."""
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110 - waits for anything, not for one event
            await asyncio.sleep(0.001)
