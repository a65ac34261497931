"""From the outbox to the broker: together, in order, and nothing is forgotten."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest

from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.core import outbox_relay
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.model.conversations import Conversation
from reference_impl.model.errors import Unavailable
from reference_impl.model.event_factories import create_message_event
from reference_impl.model.messages import MessageDraft, MessageInfo
from tests.fakes import NOON, until


class Router:
    """Notes what is published. While ``answering`` is cleared nothing returns; ``failures`` says what fails."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.heads: list[tuple[str, int]] = []
        self.failures: dict[int, Exception] = {}
        self.answering = asyncio.Event()
        self.answering.set()

    async def publish_message(self, message: MessageInfo, _frame: bytes, _origin: str | None) -> None:
        self.published.append(message.seq)
        await self.answering.wait()
        if message.seq in self.failures:
            raise self.failures[message.seq]

    async def publish_head(self, conversation_id: str, seq: int) -> None:
        self.heads.append((conversation_id, seq))


class Relayed:
    """A relay over a store with one conversation. Its clock is ahead: what is stored now is overdue already."""

    def __init__(self) -> None:
        self.router, self.store = Router(), MemoryStore()
        router = cast(MessageRouter, self.router)
        self.relay = OutboxRelay(router=router, store=self.store, clock=lambda: NOON + timedelta(days=1))

    async def say(self, count: int) -> None:
        for number in range(count):
            draft = MessageDraft(
                id=str(number), conversation_id="room", sender_id="ann", sender_type="user", sender_name="Ann",
                type="text", content={}, timestamp=NOON,
            )  # fmt: skip
            self.relay.hand_over(create_message_event((await self.store.append(draft)).message), b"frame")

    async def in_outbox(self) -> dict[str, int]:
        return await self.store.unannounced(NOON + timedelta(days=2))


@pytest.fixture
async def relayed() -> AsyncIterator[Relayed]:
    made = Relayed()
    room: dict[str, Any] = {"title": "", "creator_id": "ann", "participant_ids": ["ann"], "created_at": NOON}
    await made.store.create_conversation(Conversation(id="room", **room))
    await made.relay.start()
    yield made
    await made.relay.stop()


async def test_what_waits_goes_together_and_in_order(relayed: Relayed) -> None:
    """While one is on its way others come: they go at once when it is back, in order, and none waits for another."""
    relayed.router.answering.clear()
    await relayed.say(1)
    await until(lambda: relayed.router.published == [1])
    await relayed.say(20)
    relayed.router.answering.set()
    await until(lambda: len(relayed.router.published) > 1)
    assert relayed.router.published == list(range(1, 22))
    await relayed.relay.flush(5)
    assert await relayed.in_outbox() == {}


async def test_so_many_at_a_time(relayed: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, a bounded number is on its way."""
    monkeypatch.setattr(outbox_relay, "AT_ONCE", 5)
    relayed.router.answering.clear()
    await relayed.say(12)
    await until(lambda: len(relayed.router.published) == 5)
    assert relayed.relay.waiting == 7
    relayed.router.answering.set()
    await relayed.relay.flush(5)
    assert relayed.router.published == list(range(1, 13))


async def test_what_could_not_be_announced_is_swept(relayed: Relayed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker goes away: all that waits is counted and left in the outbox, and announced by its number later."""
    monkeypatch.setattr(outbox_relay, "AT_ONCE", 5)
    relayed.router.answering.clear()
    relayed.router.failures = {seq: Unavailable("away") for seq in range(3, 6)}
    await relayed.say(12)
    await until(lambda: len(relayed.router.published) == 5)
    relayed.router.answering.set()
    await until(lambda: relayed.relay.late == 10)
    assert relayed.relay.waiting == 0
    await until(lambda: ("room", 12) in relayed.router.heads)
    assert relayed.relay.swept == 1
    await relayed.relay.flush(5)
    assert await relayed.in_outbox() == {}


async def test_one_that_fails_stops_no_other(relayed: Relayed, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is logged, and counted for that message; those around it are announced."""
    relayed.router.failures = {2: LookupError("a fault")}
    await relayed.say(3)
    await relayed.relay.flush(5)
    assert (relayed.router.published, relayed.relay.late) == ([1, 2, 3], 1)
    assert "a fault" in caplog.text
