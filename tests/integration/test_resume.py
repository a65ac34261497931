"""Coming back: everything that was missed, once, in order, on whichever instance."""

import asyncio

import pytest

from course import Lab
from course.workbench.client import LabClient

pytestmark = pytest.mark.asyncio(loop_scope="module")


def seqs(client: LabClient) -> list[int]:
    return [frame["data"]["seq"] for frame in client.received("new_message")]


async def test_what_was_missed_comes_on_another_instance(lab: Lab) -> None:
    """Bob leaves A after 3 messages and comes back on B: 4 to 300 in order, in pages, then what is live."""
    alice, bob = [await lab.client(user, instance=0, conversation="away") for user in ("alice", "bob")]
    for number in range(3):
        await alice.send(str(number))
    await bob.expect("new_message", seq=3)
    bob.kill()
    for number in range(3, 300):
        await alice.send(str(number))
    back = await lab.client("bob", instance=1, conversation="away", last_seq=3)
    resumed = await back.expect("resumed")
    assert resumed["data"] == {"recovered": True, "seq": 300}
    await alice.send("live")
    await back.expect("new_message", text="live")
    assert seqs(back) == list(range(4, 302))
    for client in (alice, back):
        await client.close()


async def test_nothing_falls_between_history_and_live(lab: Lab) -> None:
    """While one client writes without a pause, others come back again and again: no gap, nothing doubled."""
    alice = await lab.client("alice", instance=0, conversation="busy")
    await lab.client("bob", instance=0, conversation="busy")
    writing = True

    async def write() -> None:
        while writing:
            await alice.send("hello")

    async def come_back(place: int) -> LabClient:
        client = await lab.client("bob", instance=place, conversation="busy", last_seq=0)
        await client.expect("resumed", recovered=True)
        return client

    writer = asyncio.create_task(write())
    clients: list[LabClient] = []
    for turn in range(4):
        clients += await asyncio.gather(come_back(0), come_back(1))
        await clients[-1].expect("new_message", seq=(turn + 1) * 20)
        if turn < 3:
            for client in clients[-2:]:
                await client.close()
    writing = False
    await writer
    await alice.send("the last one")
    for client in clients[-2:]:
        await client.expect("new_message", text="the last one")
    for client in clients:
        assert seqs(client) == list(range(1, len(seqs(client)) + 1))
    for client in (alice, *clients):
        await client.close()


async def test_the_own_messages_come_again_too(lab: Lab) -> None:
    """Whoever comes back gets all that follows ``last_seq``, what they said themselves included."""
    alice = await lab.client("alice", instance=0, conversation="own")
    await alice.send("mine")
    again = await lab.client("alice", instance=1, conversation="own", last_seq=0)
    await again.expect("new_message", seq=1, text="mine")
    for client in (alice, again):
        await client.close()


async def test_a_frame_asks_for_the_same(lab: Lab) -> None:
    """``resume`` on an open connection brings what follows ``last_seq``, and the connection stays live."""
    alice, bob = [await lab.client(user, instance=n, conversation="frame") for n, user in enumerate(("alice", "bob"))]
    for number in range(5):
        await alice.send(str(number))
    await bob.expect("new_message", seq=5)
    await bob.send_frame({"type": "resume", "last_seq": 2})
    resumed = await bob.expect("resumed")
    assert resumed["data"] == {"recovered": True, "seq": 5}
    await bob.expect("new_message", seq=5)
    assert seqs(bob) == [1, 2, 3, 4, 5, 3, 4, 5]
    await alice.send("live")
    await bob.expect("new_message", text="live")
    for client in (alice, bob):
        await client.close()


async def test_a_client_from_the_future_starts_afresh(lab: Lab) -> None:
    """``last_seq`` beyond the head is another history: the last messages replace what the client holds."""
    alice = await lab.client("alice", instance=0, conversation="future")
    for number in range(120):
        await alice.send(str(number))
    back = await lab.client("alice", instance=1, conversation="future", last_seq=10_000)
    resumed = await back.expect("resumed")
    assert resumed["data"] == {"recovered": False, "seq": 120}
    await back.expect("new_message", seq=120)
    assert seqs(back) == list(range(21, 121))
    for client in (alice, back):
        await client.close()


@pytest.mark.parametrize("last_seq", ["-1", "x", "1.5", "9" * 30])
async def test_a_senseless_last_seq_is_told(lab: Lab, last_seq: str) -> None:
    """Not a number: closed with 1008 and a reason, instead of a guess."""
    conversation_id = await lab.conversation("senseless", "alice")
    client = await lab.connect(
        "alice",
        instance=0,
        conversation_id=conversation_id,
        last_seq=last_seq,
    )
    code, reason = await client.wait_closed()
    assert (code, "last_seq" in reason) == (1008, True)


async def test_resuming_is_for_members(lab: Lab) -> None:
    """Somebody who was removed gets 4003 and no history, whatever they ask for."""
    alice, bob = [await lab.client(user, instance=0, conversation="members") for user in ("alice", "bob")]
    await alice.send("for members")
    http = await lab.http("alice")
    path = f"/api/v1/conversations/{alice.conversation_id}/participants/bob"
    assert (await http.delete(path)).status_code == 204
    assert (await bob.wait_closed())[0] == 4003
    back = await lab.connect("bob", instance=1, conversation_id=alice.conversation_id, last_seq=0)
    assert (await back.wait_closed())[0] == 4003
    assert back.received("new_message") == []
    await alice.close()


async def test_a_device_on_all_conversations(lab: Lab) -> None:
    """``/ws`` gets every conversation's messages, follows its user in and out, and each frame names its own."""
    alice = {name: await lab.client("alice", instance=0, conversation=name) for name in ("first", "second")}
    dora = await lab.client("dora", instance=1, conversation="first")
    await dora.close()
    device = await lab.client("dora", instance=1, conversation=None)
    connected = device.received("connected")[0]
    assert connected["conversation_id"] is None
    assert connected["data"]["heads"] == {alice["first"].conversation_id: 0}

    await alice["first"].send("one")
    frame = await device.expect("new_message", text="one")
    assert frame["conversation_id"] == alice["first"].conversation_id
    await lab.conversation("second", "dora")
    async with asyncio.timeout(5):  # the device joins in a moment; until then it is not there to hear
        while len((await lab.state(1))["connections_by_conversation"]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await alice["second"].send("two")
    assert (await device.expect("new_message", text="two"))["conversation_id"] == alice["second"].conversation_id

    await device.send_frame({"type": "text", "content": "lost?", "client_message_id": "c-1"})
    await device.expect("error", code="invalid", client_message_id="c-1")
    ids = alice["second"].conversation_id
    await device.send_frame({"type": "text", "content": "hi", "client_message_id": "c-2", "conversation_id": ids})
    assert (await device.expect("ack", client_message_id="c-2"))["conversation_id"] == ids
    await device.send_frame({"type": "resume", "last_seq": 0, "conversation_id": ids})
    await device.expect("resumed", recovered=True, seq=2)
    assert [(await device.expect("new_message", text=text))["data"]["seq"] for text in ("two", "hi")] == [1, 2]

    http = await lab.http("alice")
    assert (await http.delete(f"/api/v1/conversations/{ids}/participants/dora")).status_code == 204
    async with asyncio.timeout(5):
        while len((await lab.state(1))["connections_by_conversation"]) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await alice["second"].send("not for dora")
    await alice["first"].send("still here")
    await device.expect("new_message", text="still here")
    await device.expect_nothing("new_message", text="not for dora")
    for client in (*alice.values(), device):
        await client.close()
