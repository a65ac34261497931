"""Chapter 7's exercises: right answers in another style pass, and first failures are small."""

import asyncio
import runpy
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from tests.course.answers import failure_of

WRONG = Path(__file__).parent / "wrong_answers"


class Member:
    """A socket with a queue and a task that lives as long as the socket is somewhere."""

    def __init__(self, socket: Any, forget: Any) -> None:
        self.socket = socket
        self.rooms: set[str] = set()
        self.queue: deque[str] = deque()
        self.wake = asyncio.Event()
        self.forget = forget
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        try:
            while True:
                await self.wake.wait()
                self.wake.clear()
                while self.queue:
                    batch = tuple(self.queue)
                    self.queue.clear()
                    await self.socket.write(batch)
        except Exception:  # noqa: BLE001 - a style of its own
            self.socket.close(1006)
            self.forget(self)


class OtherFanOut:
    """A right answer that looks different: an object a member, a task that never ends, and a set of rooms in it."""

    def __init__(self, encode: Any, redis: Any, max_waiting: int = 100) -> None:
        self.encode, self.redis, self.most = encode, redis, max_waiting
        self.everybody: dict[int, Member] = {}

    def here(self, room: str) -> list[Member]:
        return [member for member in self.everybody.values() if room in member.rooms]

    def join(self, conversation_id: str, socket: Any) -> None:
        if not self.here(conversation_id):
            self.redis.subscribe(conversation_id)
        if id(socket) not in self.everybody:
            self.everybody[id(socket)] = Member(socket, self.forget)
        self.everybody[id(socket)].rooms.add(conversation_id)

    def leave(self, conversation_id: str, socket: Any) -> None:
        member = self.everybody.get(id(socket))
        if member is not None and conversation_id in member.rooms:
            member.rooms.remove(conversation_id)
            if not self.here(conversation_id):
                self.redis.unsubscribe(conversation_id)

    def send(self, conversation_id: str, message: Any) -> None:
        text = self.encode(dict(message))
        asyncio.get_running_loop().call_soon(self.redis.publish, conversation_id, text)

    def deliver(self, conversation_id: str, text: str) -> None:
        for member in self.here(conversation_id):
            if len(member.queue) == self.most:
                member.task.cancel()
                self.forget(member)
                member.socket.close(1013)
            else:
                member.queue.append(text)
                member.wake.set()

    def forget(self, member: Member) -> None:
        for room in list(member.rooms):
            self.leave(room, member.socket)
        self.everybody.pop(id(member.socket), None)


@pytest.mark.parametrize("check_id", ["13.1", "13.2", "13.3"])
def test_a_right_fan_out_in_another_style_passes(check_id: str) -> None:
    """Graded is what the code does, not how it looks."""
    assert failure_of(check_id, OtherFanOut, seed=4) is None


def test_the_first_failure_of_a_fan_out_is_small() -> None:
    """Who delivers twice sees it with one member and one message."""
    wrong = runpy.run_path(str(WRONG / "ex13_also_delivers_at_once.py"))
    failure = failure_of("13.1", wrong["FanOut"], seed=1)
    assert failure.what == "s1 got m1, m1, right is m1"
    assert failure.steps.count("→") == 2


def test_an_async_method_is_named() -> None:
    """The task asks for plain methods; who writes ``async def`` reads just that."""

    class Waiting(OtherFanOut):
        async def deliver(self, conversation_id: str, text: str) -> None:  # type: ignore[override]
            super().deliver(conversation_id, text)

    failure = failure_of("13.1", Waiting, seed=1)
    assert (failure.misconception, failure.what) == (
        "wrong_form", "deliver is async; right is a plain function that waits for nothing",
    )  # fmt: skip


class OtherMonitor:
    """A right answer that looks different: the history of all samples, searched backwards, and a list of verdicts."""

    def __init__(self, window_s: float, at_least: int, fire_above: float, clear_at: float, in_a_row: int) -> None:
        self.watch = (window_s, at_least, fire_above, clear_at, in_a_row)
        self.history: list[tuple[float, int, int]] = []
        self.verdicts: list[str] = []
        self.last = "over"

    @property
    def is_firing(self) -> bool:
        return self.last == "fires"

    @property
    def error_rate(self) -> float | None:
        now, asked, errors = self.history[-1]
        edge = next((one for one in reversed(self.history) if now - one[0] >= self.watch[0]), self.history[0])
        if asked - edge[1] < self.watch[1]:
            return None
        per_second = [(new - old) / (now - edge[0]) for new, old in ((asked, edge[1]), (errors, edge[2]))]
        return per_second[1] / per_second[0]

    def sample(self, now: float, asked: int, errors: int) -> str | None:
        self.history.append((now, asked, errors))
        rate = -1.0 if self.error_rate is None else self.error_rate
        wanted = "over" if self.is_firing else "fires"
        speaks = rate <= self.watch[3] if self.is_firing else rate > self.watch[2]
        self.verdicts.append(wanted if speaks else "")
        if self.verdicts[-self.watch[4] :] == [wanted] * self.watch[4]:
            self.last = wanted
            return wanted
        return None


@pytest.mark.parametrize("check_id", ["14.1", "14.2", "14.3", pytest.param("14.4", marks=pytest.mark.long)])
def test_a_right_monitor_in_another_style_passes(check_id: str) -> None:
    """It computes rates per second, and keeps everything; the real server takes it as well."""
    assert failure_of(check_id, OtherMonitor, seed=4) is None


@pytest.mark.long
def test_a_monitor_that_can_not_be_made_is_told_so() -> None:
    """A server that does not start because of it is a result like any other, with the reason."""

    class Unmade(OtherMonitor):
        def __init__(self, window_s: float) -> None:
            raise ValueError(window_s)

    failure = failure_of("14.4", Unmade, seed=1)
    assert failure.misconception == "raises"
    assert "the server did not start with your monitor" in failure.what
    assert "unexpected keyword argument" in failure.what
