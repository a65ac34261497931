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


@pytest.mark.parametrize("check_id", ["9.1", "9.2", "9.3", "9.4"])
def test_a_right_bus_in_another_style_passes(check_id: str) -> None:
    """Order, names and the number of turns are free."""
    assert failure_of(check_id, OtherBus) is None


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
