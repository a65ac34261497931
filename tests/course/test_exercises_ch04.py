"""Chapter 4's exercises: right answers in another style pass, and first failures are small."""

import asyncio
import runpy
from collections import OrderedDict, deque
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from course.checks.broadcaster_parts import held
from tests.course.answers import failure_of

WRONG = Path(__file__).parent / "wrong_answers"


class AllAtOnce:
    """A broadcasting service that asks and sends side by side, and counts afterwards."""

    def __init__(self, members: Any, connections: Any, push: Any) -> None:
        self.members, self.connections, self.push = members, connections, push

    async def broadcast_message(self, message: dict[str, Any], from_device: str | None = None) -> dict[str, str]:
        users = await self.members.of(message["conversation_id"])
        hows = await asyncio.gather(*(self.tell(user, "new_message", message, None, from_device) for user in users))
        return {user: how for user, how in zip(users, hows, strict=True) if user != message["sender_id"]}

    async def send_direct_message(self, user_id: str, message: dict[str, Any], device_type: str | None = None) -> str:
        return await self.tell(user_id, "direct_message", message, device_type, None)

    async def tell(self, user: str, action: str, message: dict[str, Any], kind: str | None, origin: str | None) -> str:
        payload = {"data": dict(message), "action": action, "conversation_id": message["conversation_id"]}
        devices: Any = (await asyncio.gather(self.connections.devices_of(user), return_exceptions=True))[0]
        wanted = [] if isinstance(devices, BaseException) else [d for d, k in devices if kind in (None, k)]
        sending = [self.connections.send(device, payload) for device in wanted if device != origin]
        if True in await asyncio.gather(*sending, return_exceptions=True):
            return "socket"
        if action == "new_message" and user == message["sender_id"]:
            return "nobody"
        words = {"title": message["sender_name"], "body": message["content"]}
        pushing = self.push.send_push_notification(user, words | {"conversation_id": message["conversation_id"]})
        return "nobody" if any(await asyncio.gather(pushing, return_exceptions=True)) else "push"


class Workers:
    """A broadcaster with a fixed number of tasks that send, another encoding, and no semaphore."""

    numbers = count()

    def __init__(
        self, redis: Any, members: Any, send: Any, attempts: int, remember: int, page_size: int, at_once: int
    ) -> None:
        self.redis, self.members, self.send = redis, members, send
        self.attempts, self.page_size, self.at_once = attempts, page_size, at_once
        self.known: OrderedDict[str, None] = OrderedDict()
        self.remember = remember
        self.waiting: deque[tuple[str, dict[str, str], asyncio.Future[None]]] = deque()
        self.working: set[asyncio.Task[None]] = set()

    async def publish(self, conversation_id: str, text: str, tries: int = 1, name: str = "") -> str:
        name = name or f"{uuid4().hex}-{next(self.numbers)}"
        try:
            await self.redis.publish("conversation:" + conversation_id, "\n".join([name, conversation_id, text]))
        except ConnectionError:
            if tries >= self.attempts:
                raise
            return await self.publish(conversation_id, text, tries + 1, name)
        return name

    async def receive(self, raw: str) -> None:
        name, conversation_id, text = raw.split("\n", 2)
        if name in self.known:
            return
        self.known[name] = None
        while len(self.known) > self.remember:
            self.known.popitem(last=False)
        message = {"text": text, "id": name, "conversation_id": conversation_id}
        last = None
        while True:
            page = await self.members.here(conversation_id, last, self.page_size)
            await asyncio.gather(*(self.hand_over(user, message) for user in page))
            if len(page) < self.page_size:
                return
            last = page[-1]

    def hand_over(self, user: str, message: dict[str, str]) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((user, message, done))
        if len(self.working) < self.at_once:
            task = asyncio.create_task(self.work())
            self.working.add(task)
            task.add_done_callback(self.working.discard)
        return done

    async def work(self) -> None:
        while self.waiting:
            user, message, done = self.waiting.popleft()
            await asyncio.gather(self.send(user, message), return_exceptions=True)
            done.set_result(None)


@pytest.mark.parametrize("check_id", ["7.1", "7.2", "7.3"])
def test_a_service_that_sends_side_by_side_passes(check_id: str) -> None:
    """Graded is who was reached on which way, not the order of the calls."""
    assert failure_of(check_id, AllAtOnce, seed=4) is None


@pytest.mark.parametrize("check_id", ["8.1", "8.2", "8.3"])
def test_a_broadcaster_in_another_style_passes(check_id: str) -> None:
    """Another encoding, other ids, tasks in place of a semaphore: graded are commands, copies and bounds."""
    assert failure_of(check_id, Workers, seed=4) is None


def steps_of(name: str, check_id: str, subject: str) -> str:
    """The smallest case that a wrong answer fails in."""
    return str(failure_of(check_id, runpy.run_path(str(WRONG / f"{name}.py"))[subject], seed=2).steps)


def test_first_failures_are_small() -> None:
    """One user who leaves; one member too many for one command; one command whose answer is lost."""
    leaves = steps_of("ex07_asks_then_sends", "7.2", "BroadcastingService")
    assert [step.split("(")[0] for step in leaves.split(" → ")] == ["member", "device", "leaves", "broadcast"]
    many = steps_of("ex08_gathers_publishes", "8.1", "Broadcaster")
    assert many.startswith("servers(1) → here(0, c-1, ann, bob) → publish(0, c-1, ")
    again = steps_of("ex08_retries_and_knows_no_repetition", "8.2", "Broadcaster")
    assert again.startswith("servers(1) → attempts(2) → here(0, c-1, ann) → publish(0, c-1, ")
    assert again.endswith(", answer lost, ok)")


def test_what_a_broadcaster_holds_is_counted_wherever_it_is() -> None:
    """In sets, deques, records of its own and attributes of the class; what it was given does not count."""

    class Notes:
        def __init__(self) -> None:
            self.lines = ["a", "b"]

    class Holding:
        shared = {"x"}  # noqa: RUF012 - a learner may

        def __init__(self, given: list[int]) -> None:
            self.given = given
            self.notes = Notes()
            self.queue = deque([1, 2, 3])

    given = [1] * 100
    # 3 attributes and 1 of the record; 1 + 2 + 3 elements
    assert held(Holding(given), [given]) == 10
