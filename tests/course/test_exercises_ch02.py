"""Chapter 2's exercises: right answers in another style pass, and first failures are small."""

import asyncio
import bisect
import contextlib
import random
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from course.checks.case import first_failure
from course.checks.check import find_check
from course.checks.drive import drive_in_thread
from tests.course.answers import failure_of

WRONG = Path(__file__).parent / "wrong_answers"


def wrong(file: str, name: str) -> Any:
    return runpy.run_path(str(WRONG / file))[name]


class OtherManager:
    """A right answer that looks different: a stack of what to give back, noted before each call."""

    def __init__(self, slots: Any, presence: Any, router: Any, new_id: Callable[[], str]) -> None:
        self.parts, self.new_id = (slots, presence, router), new_id
        self.stacks: dict[str, contextlib.AsyncExitStack] = {}

    @property
    def connections(self) -> Any:
        return self.stacks.keys()

    async def connect(self, user_id: str, socket: Any, conversation_id: str) -> str:
        slots, presence, router = self.parts
        name = self.new_id()
        async with contextlib.AsyncExitStack() as stack:
            for take, give_back, arguments in (
                (slots.take, slots.release, (user_id, name)),
                (socket.accept, socket.close, ()),
                (presence.add, presence.remove, (user_id, name)),
                (router.subscribe, router.unsubscribe, (conversation_id, name)),
            ):
                stack.push_async_callback(self.quietly, give_back, *arguments)
                await asyncio.create_task(take(*arguments))
            self.stacks[name] = stack.pop_all()
        return name

    async def quietly(self, call: Callable[..., Awaitable[None]], *arguments: str) -> None:
        with contextlib.suppress(Exception):
            await call(*arguments)

    async def disconnect(self, connection_id: str) -> None:
        with contextlib.suppress(KeyError):
            await self.stacks.pop(connection_id).aclose()


@pytest.mark.parametrize("check_id", ["3.1", "3.2", "3.3"])
def test_a_right_manager_in_another_style_passes(check_id: str) -> None:
    """Graded is what the code does, not how it looks."""
    assert failure_of(check_id, OtherManager, seed=4) is None


def test_the_first_failure_of_a_manager_is_small() -> None:
    """Who forgets to give back sees it with one connect, in which one call fails."""
    failure = failure_of("3.1", wrong("ex03_releases_only_on_success.py", "ComposedManager"), seed=1)
    assert failure.what == "the slot of c1 is still taken"
    assert failure.steps.endswith("c1, socket.accept, before)")
    assert failure.steps.count("→") == 1


@pytest.mark.parametrize(("file", "users"), [("ex03_locks_around_everything.py", 2), ("ex03_locks_each_user.py", 1)])
def test_two_locks_are_told_apart_by_the_case(file: str, users: int) -> None:
    """One lock for all shows with two users, one for each user with two devices."""
    failure = failure_of("3.3", wrong(file, "ComposedManager"), seed=3)
    people = failure.steps.split("connect_together(")[1].split(", ")[:2]
    assert len({one.split()[0] for one in people}) == users


class OtherLimiter:
    """A right answer that looks different: sorted lists, and two generations of them, the older one thrown away."""

    __slots__ = ("began", "most", "new", "old", "window_s")

    def __init__(self, most: int, window_s: float) -> None:
        self.most, self.window_s = most, window_s
        self.new: dict[str, list[float]] = {}
        self.old: dict[str, list[float]] = {}
        self.began = 0.0

    def admit(self, user_id: str, now: float) -> float | None:
        if now - self.began >= self.window_s:
            self.old = self.new if now - self.began < 2 * self.window_s else {}
            self.new, self.began = {}, now
        times = self.old.get(user_id, []) + self.new.get(user_id, [])
        times = times[bisect.bisect_right(times, now - self.window_s) :]
        if len(times) < self.most:
            bisect.insort(self.new.setdefault(user_id, []), now)
            return None
        return self.window_s - (now - min(times))


class OtherCache:
    """The same for presence: until when an answer counts, and which it is; swept once a while."""

    def __init__(self, ask: Callable[[str], Awaitable[float]], fresh_s: float) -> None:
        self.ask, self.fresh_s, self.sweep_at = ask, fresh_s, 0.0
        self.answers: dict[str, tuple[float, bool]] = {}

    async def is_online(self, user_id: str, now: float) -> bool:
        if now >= self.sweep_at:
            self.answers = {user: one for user, one in self.answers.items() if one[0] > now}
            self.sweep_at = now + self.fresh_s
        if user_id not in self.answers or self.answers[user_id][0] <= now:
            self.answers.pop(user_id, None)
            end = await self.ask(user_id)
            counts_until = min(now + self.fresh_s, end) if end else now + self.fresh_s
            self.answers[user_id] = (counts_until, bool(end))
        return self.answers[user_id][1]


class OtherRouter:
    """Takes what ``compose`` takes, and makes its parts itself."""

    def __init__(self, max_messages: int, window_s: float, max_bytes: int, fresh_s: float, **calls: Any) -> None:
        self.limiter = OtherLimiter(max_messages, window_s)
        self.presence = OtherCache(calls["lease_end"], fresh_s)
        self.publish, self.max_bytes = calls["publish"], max_bytes

    async def route(self, sender_id: str, recipient_id: str, text: str, now: float) -> str:
        if len(bytes(text, "utf-8")) > self.max_bytes:
            return "too_large"
        if self.limiter.admit(sender_id, now):
            return "rate_limited"
        is_there = await self.presence.is_online(recipient_id, now)
        if is_there:
            await self.publish(recipient_id, text)
        return "sent" if is_there else "offline"


@pytest.mark.parametrize("check_id", ["4.1", "4.2", "4.3", pytest.param("4.4", marks=pytest.mark.long)])
def test_a_right_router_in_another_style_passes(check_id: str) -> None:
    """Graded is what the code does, not how it looks."""
    assert failure_of(check_id, OtherRouter, seed=4) is None


def test_an_edge_is_shown_at_the_edge() -> None:
    """Who lets twice the limit in sees it with two messages."""
    failure = failure_of("4.1", wrong("ex04_a_window_of_the_clock.py", "compose"), seed=1)
    assert failure.steps == "limit(1, 4) → admit(cleo, 3) → admit(cleo, 4)"


@pytest.mark.parametrize(("check_id", "file", "name"), [
    ("3.1", "ex03_leaves_the_subscription.py", "ComposedManager"),
    ("3.3", "ex03_locks_each_user.py", "ComposedManager"),
    ("4.1", "ex04_counts_refused_messages.py", "compose"),
    ("4.2", "ex04_never_forgets_a_user.py", "compose"),
    ("4.3", "ex04_keeps_a_lease_that_is_over.py", "compose"),
])  # fmt: skip
def test_a_picture_has_all_steps(check_id: str, file: str, name: str) -> None:
    """Also what comes before the first call: the page shows the picture in place of the list of steps."""
    check = find_check(check_id)
    cases = check.cases(random.Random(1))
    found = first_failure(check, cases, drive_in_thread(check.drive, wrong(file, name), cases))
    assert found is not None
    assert check.picture is not None
    drawn = check.picture(found.case, found.observation, found.failure)
    assert drawn.count("<circle") == found.failure.steps.count(" → ") + 1
