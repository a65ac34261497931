"""Instances that are pinged, limited, drained and killed."""

import asyncio
import os
from typing import Any

import psutil
import pytest

from course import Lab
from course.errors import UserError
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.reconciler import Reconciler


async def test_drain_flushes_and_says_1012() -> None:
    """SIGTERM: what was acknowledged is delivered, everybody is told 1012 with a hint, the exit code is 0."""
    async with Lab(instances=2) as lab:
        alice, bob = [await lab.client(user, instance=0) for user in ("alice", "bob")]
        for number in range(50):
            await alice.send(f"message {number}")
        assert await lab.drain(0) == 0
        for client in (alice, bob):
            code, reason = await client.wait_closed()
            assert code == 1012
            assert "reconnect within" in reason
        assert bob.texts == [f"message {number}" for number in range(50)]


async def test_a_killed_instance_comes_back_with_everything() -> None:
    """After ``kill -9`` and a restart the history is complete and messages flow again."""
    async with Lab(instances=2) as lab:
        alice = await lab.client("alice", instance=0)
        carol = await lab.client("carol", instance=1)
        await alice.send("before")
        await carol.expect("new_message", text="before")
        await lab.kill(1)
        assert (await carol.wait_closed())[0] == 1006
        await alice.send("meanwhile")
        await lab.restart(1)
        carol = await lab.client("carol", instance=1)
        await alice.send("after")
        await carol.expect("new_message", text="after", seq=3)
        with pytest.raises(UserError, match="there is no instance 2"):
            await lab.kill(2)


async def test_silence_is_given_up_and_talk_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that answers no ping is closed after the timeout; one that answers stays."""
    settings = {"HEARTBEAT_INTERVAL_S": 0.2, "HEARTBEAT_TIMEOUT_S": 0.7}
    async with Lab(instances=1, settings=settings) as lab:
        silent, lively = [await lab.client(user) for user in ("silent", "lively")]
        monkeypatch.setattr(silent, "send_frame", _say_nothing)
        ping = await lively.expect("ping")
        assert ping["data"].keys() == {"timestamp", "seq"}
        assert await silent.wait_closed() == (1011, "heartbeat timeout")
        await lively.expect("ping")
        assert lively.is_open


async def _say_nothing(_frame: dict[str, Any]) -> None:
    return


async def test_limits_are_told() -> None:
    """One connection too many is told 4008, one message too many ``rate_limited`` with the time to wait."""
    async with Lab(instances=1, settings={"MAX_CONNECTIONS_PER_USER": 2, "RATE_LIMIT_MAX_MESSAGES": 3}) as lab:
        first, _second = [await lab.client("alice") for _ in range(2)]
        third = await lab.connect("alice", instance=0, conversation_id=first.conversation_id)
        assert (await third.wait_closed())[0] == 4008
        await first.close()
        async with asyncio.timeout(5):
            while len((await lab.state(0))["connections"]) > 1:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)
        again = await lab.client("alice")
        for _ in range(3):
            await again.send("hello")
        await again.send_frame({"type": "text", "content": "one more", "client_message_id": "c-4"})
        error = await again.expect("error", code="rate_limited", client_message_id="c-4")
        assert 0 < error["data"]["retry_after"] <= 60


class SkipsItself(DistributedConnectionManager):
    """The tutorial's rule: what comes from this very instance is ignored."""

    def handle_broadcast(self, message: Any) -> None:
        if message.instance_id != self.instance_id:
            super().handle_broadcast(message)


class ComparesNothing(Reconciler):
    """Without it nobody notices what the rule loses."""

    async def reconcile(self) -> None:
        """Does nothing."""


async def test_overrides_run_inside_every_instance() -> None:
    """The rule loses everything next door and nothing far away: 0 of 20 and 20 of 20."""
    overrides = {"distributed_connection_manager": SkipsItself, "reconciler": ComparesNothing}
    async with Lab(instances=2, overrides=overrides) as lab:
        alice, bob, carol = [
            await lab.client(user, instance=place) for user, place in (("alice", 0), ("bob", 0), ("carol", 1))
        ]
        for number in range(20):
            ack = await alice.send(str(number))
        await carol.expect("new_message", text="19")
        await bob.expect_nothing("new_message")
        assert (len(bob.texts), len(carol.texts)) == (0, 20)
        assert "never arrived" in repr(lab.trace(ack, expected=[bob, carol]))


async def test_an_unknown_override_is_one_readable_line() -> None:
    """A typo in a part's name says which names there are, and leaves nothing running."""
    with pytest.raises(UserError, match=r"no part is named presense_manager; the parts are .*presence_manager"):
        await Lab.start(instances=1, overrides={"presense_manager": object})
    assert _lab_processes() == []


async def test_a_lab_leaves_nothing() -> None:
    """After the block no process is left."""
    async with Lab(instances=2) as lab:
        pids = [lab.pid(0), lab.pid(1)]
        assert all(pid is not None and psutil.pid_exists(pid) for pid in pids)
    assert _lab_processes() == []


def _lab_processes() -> list[str]:
    """But for the fork server, which is there for the next lab."""
    return [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True) if _is_ours(child)]


def _is_ours(child: psutil.Process) -> bool:
    try:
        words, parent = " ".join(child.cmdline()), child.ppid()
    except psutil.Error:
        return False
    is_fork_server = "workbench.fork_server" in words and parent == os.getpid()
    return not is_fork_server and ("breakwire-lab" in words or "workbench.instance" in words)
