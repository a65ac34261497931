"""Exercises 5 and 6: right answers that look different, and the obvious ones in the real server."""

import asyncio
import contextlib
import json
import random
import runpy
from pathlib import Path
from typing import Any

import pytest

from course.checks.case import judge_all
from course.checks.check import find_check, find_driver
from course.checks.drive import drive_in_thread


def failure_of(check_id: str, subject: Any, seed: int) -> Any:
    found = find_check(check_id)
    cases = found.cases(random.Random(seed))
    return judge_all(found, cases, drive_in_thread(find_driver(check_id), subject, cases))


class OtherPresence:
    """Everything in one helper that cleans up as it reads; several calls under way at once; a set for an answer."""

    def __init__(self, store: Any, clock: Any, lease_s: float = 30) -> None:
        self.put, self.remove, self.leases, self.users = store.put, store.remove, store.leases, store.users
        self.clock, self.lease_s = clock, lease_s
        self.mine: dict[str, set[str]] = {}

    def until(self) -> float:
        return float(self.clock() + self.lease_s)

    def is_over(self, end: float) -> bool:
        return bool(self.clock() >= end)

    async def add_user_to_online(self, user_id: str, connection_id: str) -> bool:
        self.mine.setdefault(user_id, set()).add(connection_id)
        others = await self.leases(user_id)
        await self.put(user_id, connection_id, self.until())
        return not all(self.is_over(end) for end in others.values())

    async def remove_user_from_online(self, user_id: str, connection_id: str) -> bool:
        self.mine.get(user_id, set()).discard(connection_id)
        await self.remove(user_id, connection_id)
        await self.sweep(user_id)
        return await self.is_user_online(user_id)

    async def is_user_online(self, user_id: str) -> bool:
        return not self.is_over(max((await self.leases(user_id)).values(), default=float("-inf")))

    async def renew(self) -> None:
        await asyncio.gather(*(self.put(user, one, self.until()) for user, mine in self.mine.items() for one in mine))

    async def sweep(self, user_id: str) -> bool:
        over = [one for one, end in (await self.leases(user_id)).items() if self.is_over(end)]
        return 0 in await asyncio.gather(*(self.remove(user_id, one) for one in over))

    async def expire(self) -> set[str]:
        users = await self.users()
        gone = await asyncio.gather(*(self.sweep(user) for user in users))
        return {user for user, is_gone in zip(users, gone, strict=True) if is_gone}


@pytest.mark.parametrize("check_id", ["5.1", "5.2"])
@pytest.mark.parametrize("seed", [4, 5])
def test_presence_in_another_style_passes(check_id: str, seed: int) -> None:
    """Graded is who is online and who was told, not how it is done."""
    assert failure_of(check_id, OtherPresence, seed) is None


def test_an_answer_of_another_form_is_said() -> None:
    """Who forgets to return the users from expire reads that the form is wrong."""

    class Silent(OtherPresence):
        async def expire(self) -> Any:
            await super().expire()

    assert failure_of("5.2", Silent, seed=4).misconception == "wrong_form"


class SetOfUsers:
    """The obvious way: a set of users in the store, without an end."""

    def __init__(self, store: Any, clock: Any, lease_s: float = 30) -> None:
        self.store = store

    async def add_user_to_online(self, user_id: str, connection_id: str) -> bool:
        was_online = await self.is_user_online(user_id)
        await self.store.put(user_id, "online", 1)
        return was_online

    async def remove_user_from_online(self, user_id: str, connection_id: str) -> bool:
        await self.store.remove(user_id, "online")
        return False

    async def is_user_online(self, user_id: str) -> bool:
        return bool(await self.store.leases(user_id))

    async def renew(self) -> None:
        """Nothing to renew."""

    async def expire(self) -> list[str]:
        return []


def test_a_set_of_users_fails_in_the_real_server() -> None:
    """The phone leaves, and the laptop on the other instance is offline: seen through two real servers."""
    failure = failure_of("5.3", SetOfUsers, seed=2)
    assert failure.misconception == "one_entry_a_user"
    assert "stays" in failure.steps


class OtherRouter:
    """Pairs in one set; JSON on the wire; what is subscribed is compared with what is wanted; a task a delivery."""

    def __init__(self, broker: Any, deliver: Any, pause: Any) -> None:
        self.broker, self.deliver, self.pause = broker, deliver, pause
        self.here: set[tuple[str, str]] = set()
        self.link: Any = None
        self.subscribed: set[str] = set()

    async def join(self, conversation_id: str, connection_id: str) -> None:
        self.here.add((conversation_id, connection_id))
        await self.reconcile()

    async def leave(self, conversation_id: str, connection_id: str) -> None:
        self.here.discard((conversation_id, connection_id))
        await self.reconcile()

    async def reconcile(self) -> None:
        link, wanted = self.link, {conversation for conversation, _ in self.here}
        with contextlib.suppress(ConnectionError):
            for conversation in wanted - self.subscribed if link else ():
                await link.subscribe(f"room:{conversation}")
                self.subscribed.add(conversation)
            for conversation in self.subscribed - wanted if link else ():
                await link.unsubscribe(f"room:{conversation}")
                self.subscribed.discard(conversation)

    async def send(self, conversation_id: str, text: str) -> None:
        await self.broker.publish(f"room:{conversation_id}", json.dumps({"to": conversation_id, "text": text}))

    async def listen(self) -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                await self.listen_once()
            self.link, self.subscribed = None, set()
            await self.pause()

    async def listen_once(self) -> None:
        self.link = await self.broker.open()
        await self.reconcile()
        async with asyncio.TaskGroup() as deliveries:
            while True:
                try:
                    _, raw = await self.link.next()
                except ConnectionError:
                    return
                message = json.loads(raw)
                for conversation, connection in self.here:
                    if conversation == message["to"]:
                        deliveries.create_task(self.try_to_deliver(connection, message["text"]))

    async def try_to_deliver(self, connection_id: str, text: str) -> None:
        with contextlib.suppress(ConnectionError):
            await self.deliver(connection_id, text)


@pytest.mark.parametrize("check_id", ["6.1", "6.2", "6.3"])
@pytest.mark.parametrize("seed", [4, 5])
def test_a_router_in_another_style_passes(check_id: str, seed: int) -> None:
    """Graded is who gets what, and what it costs; not what is on the wire."""
    assert failure_of(check_id, OtherRouter, seed) is None


@pytest.mark.long
def test_skipping_the_own_instance_fails_in_the_real_server() -> None:
    """Who sits next to the one who types sees nothing of it, as with the tutorial's code."""
    path = Path(__file__).parent / "wrong_answers" / "ex06_skips_its_own_instance.py"
    assert failure_of("6.4", runpy.run_path(str(path))["Router"], seed=2).misconception == "skips_own_instance"
