"""Exercises of chapter 5: right answers that look different pass, and what the server's check sees."""

import asyncio
import random
from collections import defaultdict
from functools import partial
from typing import Any

import pytest

from course.checks.case import judge_all
from course.checks.check import find_check, find_driver
from course.checks.drive import drive_in_thread


def failure_of(check_id: str, subject: Any, seed: int = 4) -> Any:
    found = find_check(check_id)
    cases = found.cases(random.Random(seed))
    return judge_all(found, cases, drive_in_thread(find_driver(check_id), subject, cases))


class OtherBus:
    """A right bus in another style: one table of wrapped handlers, done callbacks, a counter of what is busy."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.table: dict[str, tuple[tuple[Any, bool], ...]] = defaultdict(tuple)
        self.busy: dict[int, asyncio.Future[Any]] = {}

    @property
    def failures(self) -> int:
        return len(self.errors)

    def subscribe(self, event_type: str, handler: Any) -> None:
        self.table[event_type] = ((handler, False), *self.table[event_type])

    def subscribe_async(self, event_type: str, handler: Any) -> None:
        self.table[event_type] += ((handler, True),)

    def unsubscribe(self, event_type: str, handler: Any) -> None:
        self.table[event_type] = tuple(entry for entry in self.table[event_type] if entry[0] != handler)

    def publish(self, event: Any) -> None:
        for handler, is_async in self.table[event.type]:
            try:
                result = handler(event)
            except Exception as error:  # noqa: BLE001 - that is the point
                self.errors.append(error)
            else:
                if is_async:
                    self._keep(asyncio.ensure_future(result))

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self.busy[id(task)] = task
        task.add_done_callback(partial(self._ended, id(task)))

    def _ended(self, key: int, task: asyncio.Future[Any]) -> None:
        del self.busy[key]
        if error := task.exception():
            self.errors.append(error)

    async def drain(self) -> None:
        while self.busy:  # noqa: ASYNC110 - it may also be done in this way
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("check_id", ["9.1", "9.2", "9.3", pytest.param("9.4", marks=pytest.mark.long)])
def test_a_right_bus_in_another_style_passes(check_id: str) -> None:
    """Order, names and the number of turns are free."""
    assert failure_of(check_id, OtherBus) is None


@pytest.mark.long
def test_what_fails_alone_fails_in_the_server_too() -> None:
    """A bus that lets failures through: Ann gets no answer, over a real socket, and the judge says why."""

    class Escapes(OtherBus):
        def publish(self, event: Any) -> None:
            for handler, is_async in self.table[event.type]:
                result = handler(event)
                if is_async:
                    self._keep(asyncio.ensure_future(result))

    failure = failure_of("9.4", Escapes)
    assert failure.misconception == "failure_escapes"
    assert "not acked" in failure.what


def test_a_server_awaits_no_publish() -> None:
    """An async ``publish`` is named for what it is, also where a server was to run with it."""

    class Async(OtherBus):
        async def publish(self, event: Any) -> None:  # type: ignore[override]
            super().publish(event)

    assert failure_of("9.4", Async).misconception == "publish_waits"


class OtherChat:
    """A right chat in another style: lists of what was counted, closures as handlers, pushes side by side."""

    def __init__(self, store: Any, bus: Any, push: Any, assistant: Any) -> None:
        self.store, self.push, self.assistant = store, push, assistant
        self.tell = partial(bus.publish, "message_sent")
        for react in (self.mentions, self.questions, self.unread):
            bus.subscribe("message_sent", lambda message, react=react: react(**message))

    async def send(self, message: dict[str, Any]) -> str:
        async with self.store.transaction() as tx:
            await tx.set(f"messages/{message['id']}", await tx.get(f"messages/{message['id']}") or message)
        self.tell(message)
        return str(message["id"])

    async def unread(self, id: str, to: list[str], **_: Any) -> None:
        for user in to:
            async with self.store.transaction() as tx:
                seen = {*(await tx.get(f"seen/{user}") or ()), id}
                await tx.set(f"seen/{user}", seen)
                await tx.set(f"unread/{user}", len(seen))

    async def mentions(self, id: str, to: list[str], text: str, **_: Any) -> None:
        named = [user for user in to if f" @{user} " in f" {text} "]
        done = await asyncio.gather(
            *(self.push.send(f"{user}:{id}", user, text) for user in named), return_exceptions=True
        )
        for failed in filter(None, done):
            raise failed

    async def questions(self, id: str, sender: str, to: list[str], text: str) -> None:
        if sender != "assistant" and text[:5] == "/ask ":
            async with self.store.transaction() as tx:
                stored = await tx.get(f"messages/re:{id}")
            if stored is None:
                says = await self.assistant.answer(text[5:])
                stored = {"id": f"re:{id}", "sender": "assistant", "to": [*to, sender], "text": says}
            await self.send(stored)


@pytest.mark.parametrize("check_id", ["10.1", "10.2", "10.3"])
def test_a_right_chat_in_another_style_passes(check_id: str) -> None:
    """How it is remembered what was done, and in which order, is free."""
    assert failure_of(check_id, OtherChat) is None
