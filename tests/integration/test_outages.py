"""What breaks, and what is kept: Redis that hangs, an instance that dies in between, a reader that stops."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from course import Lab
from course.workbench.client import LabClient
from reference_impl.core.message_router import MessageRouter
from reference_impl.model.messages import MessageInfo


def seqs(client: LabClient) -> list[int]:
    return [frame["data"]["seq"] for frame in client.received("new_message")]


async def status(lab: Lab, instance: int) -> str:
    http = await lab.http("operator", instance=instance)
    return str((await http.get("/readyz")).json()["status"])


async def until_status(lab: Lab, wanted: str) -> None:
    async with asyncio.timeout(10):
        for instance in range(2):
            while await status(lab, instance) != wanted:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)


async def test_redis_hangs_and_nothing_is_lost() -> None:
    """Redis stops answering without closing a connection: messages are acked, delivered within seconds from the
    store, ``/readyz`` says degraded; it heals by itself, and everybody has each message once, in order.
    """
    async with Lab(instances=2) as lab:
        alice, bob, carol = [
            await lab.client(user, instance=place) for user, place in (("alice", 0), ("bob", 0), ("carol", 1))
        ]
        await alice.send("before")
        await lab.redis.pause()
        for number in range(20):
            await alice.send(f"while it hangs {number}", timeout=10)
        for client in (bob, carol):
            await client.expect("new_message", text="while it hangs 19")
        await until_status(lab, "degraded")
        late = await lab.client("dave", instance=1)
        await lab.redis.resume()
        await until_status(lab, "ready")
        await alice.send("after")
        for client in (bob, carol):
            await client.expect("new_message", text="after")
            assert seqs(client) == list(range(1, 23))
        await late.expect("new_message", text="after")


class DiesBeforeAnnouncing(MessageRouter):
    """Its instance is killed when the message is stored and acked, and nobody has been told."""

    async def publish_message(self, message: MessageInfo, frame: bytes, origin_connection_id: str | None) -> None:
        """Dies at the word."""
        if message.content.get("text") == "die" and self.instance_id == "instance-0":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().publish_message(message, frame, origin_connection_id)


async def test_a_message_of_a_dead_instance_arrives() -> None:
    """Stored, and its instance died before announcing it: the others deliver it, without any further message."""
    async with Lab(instances=2, overrides={"message_router": DiesBeforeAnnouncing}) as lab:
        alice, bob = [await lab.client(user, instance=n) for n, user in enumerate(("alice", "bob"))]
        await alice.send("hello")
        await alice.send_frame({"type": "text", "content": "die", "client_message_id": "last-words"})
        await bob.expect("new_message", text="die")
        assert (await alice.wait_closed())[0] == 1006
        again = await lab.client("alice", instance=1, last_seq=1)
        await again.expect("new_message", text="die", client_message_id="last-words", seq=2)
        ack = await again.send("die", client_message_id="last-words")
        assert ack.seq == 2, "a retry finds the first one"
        assert seqs(bob) == [1, 2]


async def test_a_retry_through_every_door_is_one_message() -> None:
    """Fifty retries of one ``client_message_id``, at once, over both instances and both doors: one message."""
    async with Lab(instances=2) as lab:
        sockets = [await lab.client("alice", instance=n % 2) for n in range(4)]
        bob = await lab.client("bob", instance=1)
        https = [await lab.http("alice", instance=n) for n in range(2)]
        path = f"/api/v1/conversations/{bob.conversation_id}/messages"

        async def over_http(n: int) -> tuple[str, int]:
            answer = await https[n % 2].post(path, json={"content": "once", "client_message_id": "c-1"})
            return answer.json()["id"], answer.json()["seq"]

        async def over_websocket(client: LabClient) -> tuple[str, int]:
            await client.send_frame({"type": "text", "content": "once", "client_message_id": "c-1"})
            frame = await client.expect("ack", client_message_id="c-1")
            return frame["data"]["id"], frame["data"]["seq"]

        answers = await asyncio.gather(
            *(over_http(n) for n in range(26)), *(over_websocket(sockets[n % 4]) for n in range(24))
        )
        assert len(set(answers)) == 1
        assert answers[0][1] == 1
        await bob.expect("new_message", text="once")
        await bob.expect_nothing("new_message", text="once")
        assert len((await https[0].get(path)).json()) == 1


async def test_a_reader_that_stops_is_sent_away_and_misses_nothing() -> None:
    """One client stops reading: the others get everything meanwhile; it is closed with 1013 and resumes."""
    async with Lab(instances=2, settings={"OUTBOX_FRAMES": 64}) as lab:
        alice, bob, stalled = [
            await lab.client(user, instance=place) for user, place in (("alice", 0), ("bob", 1), ("stalled", 1))
        ]
        stalled.stall()
        sent = 0
        while "stalled" in (await lab.state(1))["connections_by_user"]:
            await asyncio.gather(*(send_large(alice, sent + n) for n in range(20)))
            sent += 20
            assert sent < 2000
        await bob.expect("new_message", seq=sent)
        assert seqs(bob) == list(range(1, sent + 1))
        stalled.resume_reading()
        assert await stalled.wait_closed() == (1013, "too slow: resume")
        got = seqs(stalled)
        assert got == list(range(1, len(got) + 1))
        back = await lab.client("stalled", instance=0, last_seq=len(got))
        await back.expect("new_message", seq=sent)
        assert got + seqs(back) == list(range(1, sent + 1))


async def send_large(client: LabClient, number: int) -> None:
    await client.send(f"{number} " + "x" * 20_000, timeout=20)


async def test_a_drain_loses_nothing() -> None:
    """SIGTERM while messages flow: everything acked is in the history, clients get 1012 and a hint, exit code 0."""
    async with Lab(instances=2) as lab:
        alice, bob = [await lab.client(user, instance=n) for n, user in enumerate(("alice", "bob"))]
        acked: list[int] = []

        async def write() -> None:
            while alice.is_open:
                acked.append((await alice.send("hello")).seq)

        writing = asyncio.create_task(write())
        await bob.expect("new_message", seq=20)
        assert await lab.drain(0) == 0
        code, reason = await alice.wait_closed()
        assert (code, "reconnect within 5 s" in reason) == (1012, True)
        await asyncio.gather(writing, return_exceptions=True)
        if acked[-1] not in seqs(bob):
            await bob.expect("new_message", seq=acked[-1])
        assert seqs(bob)[: len(acked)] == acked


async def test_a_removal_is_felt_without_redis() -> None:
    """Nobody can be told that Bob was removed, since Redis hangs: his socket ends all the same, within seconds."""
    async with Lab(instances=2) as lab:
        alice, bob = [await lab.client(user, instance=n) for n, user in enumerate(("alice", "bob"))]
        http = await lab.http("alice")
        await lab.redis.pause()
        removed_at = time.monotonic()
        answer = await http.delete(f"/api/v1/conversations/{alice.conversation_id}/participants/bob")
        assert answer.status_code == 204
        assert (await bob.wait_closed())[0] == 4003
        assert time.monotonic() - removed_at < 2 + 2, "two seconds, and what publishing waits for Redis"
        await lab.redis.resume()


@pytest.mark.parametrize("where", ["before", "after"])
async def test_killed_around_the_commit(where: str) -> None:
    """An instance dies right before or right after the commit, before the ack: a retry makes it one message."""
    overrides = {"store": _dying_store(where)}
    async with Lab(instances=2, overrides=overrides) as lab:
        alice, bob = [await lab.client(user, instance=n) for n, user in enumerate(("alice", "bob"))]
        await alice.send_frame({"type": "text", "content": "die", "client_message_id": "c-1"})
        assert (await alice.wait_closed())[0] == 1006
        if where == "after":
            await bob.expect("new_message", text="die")
        else:
            await bob.expect_nothing("new_message", text="die", within=1.5)
        again = await lab.client("alice", instance=1)
        ack = await again.send("live", client_message_id="c-1")
        assert ack.seq == 1
        text = "die" if where == "after" else "live"
        http = await lab.http("bob", instance=1)
        history = (await http.get(f"/api/v1/conversations/{bob.conversation_id}/messages")).json()
        assert [message["content"]["text"] for message in history] == [text]


def _dying_store(where: str) -> Any:
    from reference_impl.adapters.store_sql import SqlStore  # noqa: PLC0415
    from reference_impl.core.ports import Appended  # noqa: PLC0415
    from reference_impl.model.messages import MessageDraft  # noqa: PLC0415

    class DyingStore(SqlStore):
        async def append(self, draft: MessageDraft) -> Appended:
            if draft.content["text"] == "die" and where == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            appended = await super().append(draft)
            if draft.content["text"] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            return appended

    return DyingStore


async def test_metrics_tell_what_happened() -> None:
    """``/metrics`` says whether the broker is there and counts what was late and what was repaired."""
    async with Lab(instances=1) as lab:
        alice, bob = [await lab.client(user) for user in ("alice", "bob")]
        http = await lab.http("operator")

        async def metrics() -> dict[str, float]:
            answer = await http.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain")
            lines = [line.split(" ") for line in answer.text.splitlines() if not line.startswith("#")]
            assert "alice" not in answer.text
            return {name: float(value) for name, value in lines}

        before = await metrics()
        assert (before["chat_connections"], before["chat_broker_live"]) == (2, 1)
        await lab.redis.pause()
        await alice.send("late", timeout=10)
        await bob.expect("new_message", text="late")
        async with asyncio.timeout(10):
            while (during := await metrics())["chat_messages_late_total"] < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert during["chat_messages_repaired_total"] >= 1
        await lab.redis.resume()
