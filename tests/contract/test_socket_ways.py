"""A socket that is taken over, and one through ASGI messages: whatever a peer does, both behave alike."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from course import Lab
from course.workbench.client import LabClient
from reference_impl.api.socket_session import AT_WORK
from reference_impl.core.message_router import MessageRouter
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.message_service import MessageService

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "x" * 20_000
UNLUCKY = 7777


class GatheringMessages(MessageService):
    """A text ``gather N`` goes on once N of them have been here at the same time; more than may be, break.

    ``after WORD`` goes on once the text ``WORD`` is stored, in whatever conversation.
    """

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.here = self.most = 0
        self.stored = {""}
        self.changed = asyncio.Condition()

    async def create_message(self, conversation_id: str, sender: Any, content: Any, *args: Any, **named: Any) -> Any:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.most > AT_WORK:
            raise LookupError("one more than may be on its way")
        message = await super().create_message(conversation_id, sender, content, *args, **named)
        self.stored.add(content)
        wanted = int(content.split()[1]) if content.startswith("gather ") else 0
        before = content.removeprefix("after ") if content.startswith("after ") else ""
        async with self.changed:
            self.changed.notify_all()
            await asyncio.wait_for(self.changed.wait_for(lambda: self.most >= wanted and before in self.stored), 5)
        self.here -= 1
        return message


class FailingActivity(ActivityService):
    """Breaks on what no client should do."""

    async def type(self, conversation_id: str, user_id: str, *, is_typing: bool) -> None:
        raise LookupError("a mistake of ours")


class FailingRouter(MessageRouter):
    """Breaks on frames of one size."""

    def check_size(self, size: int) -> None:
        if size == UNLUCKY:
            raise LookupError("a mistake of ours")
        super().check_size(size)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["direct", "asgi"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    settings = {"DIRECT_SOCKETS": request.param, "OUTBOX_FRAMES": 64, "HEARTBEAT_INTERVAL_S": 0.5}
    overrides = {
        "activity_service": FailingActivity,
        "message_service": GatheringMessages,
        "message_router": FailingRouter,
    }
    async with Lab(instances=1, settings=settings, overrides=overrides) as started:
        yield started


def in_one_piece(client: LabClient, *frames: tuple[int, bytes]) -> None:
    """Sends frames, each an opcode and what is in it, masked with zeros."""
    bytes_of = [bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload for opcode, payload in frames]
    client._websocket.transport.write(b"".join(bytes_of))


async def here(lab: Lab, user: str) -> list[dict[str, object]]:
    return [one for one in (await lab.state(0))["connections"] if one["user_id"] == user]


async def until_gone(lab: Lab, user: str) -> None:
    async with asyncio.timeout(8):
        while await here(lab, user):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def test_what_is_sent_at_once_is_worked_on_in_order(lab: Lab) -> None:
    """A hundred frames in one piece: their acks come in this order, and the others see this order."""
    ann, bob = await lab.client("ann", conversation="pile"), await lab.client("bob", conversation="pile")
    for number in range(100):
        await ann.send_frame({"type": "text", "content": f"{number}", "client_message_id": f"pile-{number}"})
    await ann.expect("ack", client_message_id="pile-99")
    acked = [frame["data"]["client_message_id"] for frame in ann.received("ack")]
    assert acked == [f"pile-{number}" for number in range(100)]
    await bob.expect("new_message", text="99")
    assert bob.texts == [str(number) for number in range(100)]
    await ann.close()
    await bob.close()


async def test_what_comes_together_is_on_its_way_together(lab: Lab) -> None:
    """As many as may be, and no more, and they are stored in their order; what is no message waits for them."""
    ann, bob = await lab.client("ann", conversation="together"), await lab.client("bob", conversation="together")
    for number in range(AT_WORK + 8):
        await ann.send_frame({"type": "text", "content": f"gather {AT_WORK}", "client_message_id": f"both-{number}"})
    await ann.send_frame({"type": "read", "seq": AT_WORK + 8})
    await bob.expect("read", user_id="ann", seq=AT_WORK + 8)
    await ann.expect("read", user_id="ann", seq=AT_WORK + 8)
    stored_as = {frame["data"]["client_message_id"]: frame["data"]["seq"] for frame in ann.received("ack")}
    assert stored_as == {f"both-{number}": number + 1 for number in range(AT_WORK + 8)}
    await ann.close()
    await bob.close()


async def test_a_large_history_comes_whole_to_a_peer_that_reads_slowly(lab: Lab) -> None:
    """Five megabytes from the store, through an outbox of 64 frames, past a pause in the middle."""
    ann = await lab.client("ann", conversation="history")
    for _ in range(25):
        await asyncio.gather(*(ann.send(LARGE, timeout=20) for _ in range(10)))
    bob = await lab.client("bob", conversation="history", last_seq=0)
    bob.stall()
    await ann.send("meanwhile")
    bob.resume_reading()
    await bob.expect("new_message", seq=251, timeout=20)
    assert [frame["data"]["seq"] for frame in bob.received("new_message")] == list(range(1, 252))
    await ann.close()
    await bob.close()


async def test_who_does_not_read_is_let_go_and_the_others_go_on(lab: Lab) -> None:
    """Closed with 1013 behind what the network has; nobody else misses or waits for anything."""
    ann, bob, stalled = [await lab.client(user, conversation="slow") for user in ("ann", "bob", "stalled")]
    stalled.stall()
    sent = 0
    while any(not one["is_closing"] for one in await here(lab, "stalled")):
        await asyncio.gather(*(ann.send(LARGE, timeout=20) for _ in range(10)))
        sent += 10
        assert sent < 3000
    await bob.expect("new_message", seq=sent, timeout=20)
    stalled.resume_reading()
    assert await stalled.wait_closed() == (1013, "too slow: resume")
    seqs = [frame["data"]["seq"] for frame in stalled.received("new_message")]
    assert seqs == list(range(1, len(seqs) + 1))
    await ann.close()
    await bob.close()


async def test_a_peer_that_goes_is_gone(lab: Lab) -> None:
    """With a goodbye or without: its connection is in no index."""
    ann, bob = [await lab.client(user, conversation="gone") for user in ("ann-goes", "bob-goes")]
    await ann.close()
    bob.kill()
    await until_gone(lab, "ann-goes")
    await until_gone(lab, "bob-goes")


async def test_what_waits_when_its_peer_goes_is_not_begun(lab: Lab) -> None:
    """A frame behind a message that takes its time: nobody is there to undo what it would do."""
    ann, bob = await lab.client("ann", conversation="late"), await lab.client("bob", conversation="elsewhere")
    await ann.send_frame({"type": "text", "content": "after a while", "client_message_id": "late-1"})
    await ann.send_frame({"type": "resume", "last_seq": 0})
    await asyncio.gather(*(bob.send(f"{number}") for number in range(3)))  # by then ann's frames are there
    ann.kill()
    await until_gone(lab, "ann")
    await bob.send("a while")
    for number in range(3):
        await bob.send(f"{number} more")
    assert list((await lab.state(0))["conversations"]) == [await lab.conversation("elsewhere")]
    await bob.close()


@pytest.mark.parametrize("goodbye", [b"\x03\xe8", b""], ids=["with a code", "without one"])
async def test_what_was_said_before_a_goodbye_is_worked_on(lab: Lab, goodbye: bytes) -> None:
    """It waits for a message that takes its time, and is not forgotten for that."""
    room = f"in haste {len(goodbye)}"
    ann, bob = await lab.client("ann", conversation=room), await lab.client("bob", conversation=room)
    await ann.send_frame({"type": "text", "content": f"after {room}", "client_message_id": room})
    await ann.send_frame({"type": "read", "seq": 1})
    in_one_piece(ann, (8, goodbye))
    await ann.wait_closed()
    await bob.send(room)
    await bob.expect("read", user_id="ann", seq=1)
    await until_gone(lab, "ann")
    await bob.close()


async def test_a_mistake_of_ours_ends_one_connection(lab: Lab) -> None:
    """With 1011; the client may come again."""
    ann = await lab.client("ann", conversation="mistake")
    await ann.send_frame({"type": "typing", "is_typing": True})
    assert (await ann.wait_closed())[0] == 1011
    await until_gone(lab, "ann")


async def test_a_mistake_of_ours_while_reading_ends_it_too(lab: Lab) -> None:
    """It does not hang until its heartbeat is missed."""
    ann = await lab.client("ann", conversation="misread")
    await ann.send_raw("x" * UNLUCKY)
    assert (await ann.wait_closed())[0] == 1011
    await until_gone(lab, "ann")


async def test_frames_that_are_none_are_answered_and_then_not_any_more(lab: Lab) -> None:
    """Ten of them, binary ones among them, end it with 1008."""
    ann = await lab.client("ann", conversation="bad")
    for number in range(10):
        await ann.send_raw(b"\x00" if number % 2 else "{")
    assert (await ann.wait_closed())[0] == 1008
    codes = [frame["data"]["code"] for frame in ann.received("error")]
    assert codes == ["bad_json"] * 10
    await until_gone(lab, "ann")


async def test_what_is_behind_the_tenth_is_not_taken(lab: Lab) -> None:
    """Though it has come in the same piece: its sender will not hear of it."""
    ann, bob = await lab.client("ann", conversation="worse"), await lab.client("bob", conversation="worse")
    in_one_piece(ann, *[(1, b"{")] * 10, (1, b'{"type": "text", "content": "behind"}'))
    assert (await ann.wait_closed())[0] == 1008
    await until_gone(lab, "ann")
    assert (await bob.send("the first")).seq == 1
    await bob.close()


async def test_who_answers_the_heartbeat_stays(lab: Lab) -> None:
    """Nobody says anything but pings and pongs, several times."""
    ann = await lab.client("ann", conversation="quiet")
    for _ in range(3):
        await ann.expect("ping")
    assert await here(lab, "ann")
    await ann.close()
