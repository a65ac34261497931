"""Chapter 2's exercises: right answers in another style pass, and first failures are small."""

import asyncio
import contextlib
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.course.test_exercises import failure_of

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
