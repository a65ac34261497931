"""Offline or silent means push: each member gets each message on a socket or one push, never neither."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from course import Lab
from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.core.message_router import MessageRouter
from reference_impl.model.messages import MessageInfo
from reference_impl.model.notification_content import NotificationData
from reference_impl.services.authentication_service import AuthenticationService

SECRET = "a secret of this test's own, thirty-two bytes and more"
LEASE_S = 2
HEARTBEAT = {"HEARTBEAT_INTERVAL_S": 0.5, "HEARTBEAT_TIMEOUT_S": 4, "PRESENCE_LEASE_S": LEASE_S}


def noting_in(path: Path) -> type[ConsolePushProvider]:
    """A provider that writes down what it pushes: all instances into one file."""

    class NotingProvider(ConsolePushProvider):
        async def send(self, user_id: str, notification: NotificationData, *, idempotency_key: str) -> None:
            with path.open("ab") as file:
                file.write(msgspec.json.encode([user_id, notification["body"]]) + b"\n")

    return NotingProvider


class Pushes:
    """What was pushed so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        return Counter(tuple(msgspec.json.decode(line)) for line in lines)

    async def until(self, *expected: tuple[str, str], within: float = 8) -> None:
        """Waits until all of these were pushed; nothing else may have been, and nothing twice."""
        async with asyncio.timeout(within):
            while not set(expected) <= set(self.counts):  # noqa: ASYNC110 - another process's file
                await asyncio.sleep(0.02)
        assert self.counts == Counter(expected)


@pytest.fixture
def pushes(tmp_path: Path) -> Pushes:
    return Pushes(tmp_path / "pushes")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    overrides = {"push_provider": noting_in(tmp_path / "pushes")}
    async with Lab(instances=2, settings=HEARTBEAT | {"SECRET_KEY": SECRET}, overrides=overrides) as started:
        yield started


async def until_covered(lab: Lab, *, instance: int = 0) -> None:
    """Until no conversation has anybody left to be told."""
    http = await lab.http("operator", instance=instance)
    async with asyncio.timeout(8):
        while "chat_pushes_undecided 0.0" not in (await http.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_online_means_socket_and_offline_means_push(lab: Lab, pushes: Pushes) -> None:
    """Bob is connected and is never pushed; Carol is not, and is pushed each message once; Ann knows what she said."""
    ann, bob = await lab.client("ann", instance=0), await lab.client("bob", instance=1)
    await lab.conversation("general", "carol")
    for text in ("one", "two"):
        await ann.send(text)
        await bob.expect("new_message", text=text)
    await pushes.until(("carol", "one"), ("carol", "two"))
    await until_covered(lab)
    assert set(pushes.counts) == {("carol", "one"), ("carol", "two")}


async def test_who_is_banned_hears_nothing_by_push_either(lab: Lab, pushes: Pushes) -> None:
    """Carol and Dave are away, and Dave is banned: only Carol is told. It counts as told, also when he comes back."""
    ann = await lab.client("ann", instance=0)
    await lab.conversation("general", "carol", "dave")
    service = AuthenticationService(secret_key=SECRET, clock=lambda: datetime.now(UTC))
    operator = {"Authorization": f"Bearer {service.issue_token('root', is_operator=True)[0]}"}
    http = await lab.http("root")
    assert (await http.post("/api/v1/operator/bans/dave", headers=operator)).status_code == 204
    await ann.send("not for Dave")
    await until_covered(lab)
    assert (await http.delete("/api/v1/operator/bans/dave", headers=operator)).status_code == 204
    await ann.send("for both")
    await pushes.until(("carol", "not for Dave"), ("carol", "for both"), ("dave", "for both"))


async def test_a_socket_on_another_conversation_takes_nothing(lab: Lab, pushes: Pushes) -> None:
    """Bob is online, on another conversation: nothing of this one reaches his socket, so he is pushed."""
    ann = await lab.client("ann", instance=0)
    await lab.conversation("general", "bob")
    await lab.client("bob", instance=1, conversation="elsewhere")
    await ann.send("hello")
    await pushes.until(("bob", "hello"))


async def test_a_dead_instance_takes_no_push_with_it(lab: Lab, pushes: Pushes) -> None:
    """Bob's instance is killed: his lease is still there, and what is said meanwhile he is pushed once it ends."""
    ann, bob = await lab.client("ann", instance=0), await lab.client("bob", instance=1)
    await ann.send("before")
    await bob.expect("new_message", text="before")
    await until_covered(lab)
    await lab.kill(1)
    await ann.send("after")
    await pushes.until(("bob", "after"), within=LEASE_S + 8)


async def test_silent_means_push(lab: Lab, pushes: Pushes) -> None:
    """Bob's socket stands, and nobody reads at its other end: what was written to it does not count."""
    ann, bob = await lab.client("ann", instance=0), await lab.client("bob", instance=1)
    bob.stall()
    await ann.send("hello")
    await pushes.until(("bob", "hello"), within=15)


class DiesBeforeTelling(MessageRouter):
    """Its instance is killed when a message is stored, and nobody has been told."""

    async def publish_message(self, message: MessageInfo, frame: bytes, origin_connection_id: str | None) -> None:
        """Dies at the word."""
        if message.content.get("text") == "die" and self.instance_id == "instance-0":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().publish_message(message, frame, origin_connection_id)


async def test_the_others_decide_for_an_instance_that_died(tmp_path: Path, pushes: Pushes) -> None:
    """Stored, and its instance died before anybody decided: another one does."""
    overrides: dict[str, Any] = {"push_provider": noting_in(tmp_path / "pushes"), "message_router": DiesBeforeTelling}
    async with Lab(instances=2, settings=HEARTBEAT, overrides=overrides) as lab:
        ann = await lab.client("ann", instance=0)
        await lab.conversation("general", "carol")
        await ann.send_frame({"type": "text", "content": "die", "client_message_id": "c-1"})
        await ann.wait_closed()
        await pushes.until(("carol", "die"), within=20)


async def test_pushes_wait_for_redis(lab: Lab, pushes: Pushes) -> None:
    """Redis hangs: messages are acked all the same, and pushed when it is back."""
    ann = await lab.client("ann")
    await lab.conversation("general", "carol")
    await lab.redis.pause()
    await ann.send("hello", timeout=10)
    await lab.redis.resume()
    await pushes.until(("carol", "hello"), within=15)
