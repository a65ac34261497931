"""One message, all members, two instances."""

import asyncio

import pytest

from course import Lab
from course.workbench.client import ExpectationFailed, UnexpectedFrame

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_everybody_gets_everything_once_in_order(lab: Lab) -> None:
    """Alice on A sends a thousand messages; Bob on A and Carol on B get each once, in order."""
    alice, bob, carol = [
        await lab.client(user, instance=place, conversation="thousand")
        for user, place in (("alice", 0), ("bob", 0), ("carol", 1))
    ]
    texts = [f"message {number}" for number in range(1000)]
    acks = [await alice.send(text) for text in texts]
    assert [ack.seq for ack in acks] == list(range(1, 1001))
    for client in (bob, carol):
        await client.expect("new_message", text=texts[-1])
        assert client.texts == texts
        await client.expect_nothing("new_message", seq=1001, within=0.1)
    assert alice.texts == []
    for client in (alice, bob, carol):
        await client.close()


async def test_order_is_one_for_all_when_all_write_at_once(lab: Lab) -> None:
    """Four writers on two instances at the same time: every reader sees the same order, without a gap."""
    writers = [await lab.client(f"writer-{n}", instance=n % 2, conversation="crowd") for n in range(4)]
    readers = [await lab.client(f"reader-{n}", instance=n, conversation="crowd") for n in range(2)]

    async def write(number: int) -> None:
        for turn in range(50):
            await writers[number].send(f"{number}-{turn}")

    await asyncio.gather(*(write(number) for number in range(4)))
    for reader in readers:
        await reader.expect("new_message", seq=200)
        assert [frame["data"]["seq"] for frame in reader.received("new_message")] == list(range(1, 201))
    assert readers[0].texts == readers[1].texts
    for client in (*writers, *readers):
        await client.close()


async def test_an_ack_means_stored(lab: Lab) -> None:
    """Whoever has an ack finds the message in the history at once, on the other instance too."""
    alice = await lab.client("alice", instance=0, conversation="ack")
    http = await lab.http("alice", instance=1)
    for number in range(1, 21):
        ack = await alice.send(f"message {number}")
        path = f"/api/v1/conversations/{alice.conversation_id}/messages"
        (last,) = (await http.get(path, params={"limit": 1})).json()
        assert (last["id"], last["seq"], last["content"]) == (ack.id, number, {"text": f"message {number}"})
    await alice.close()


async def test_the_same_message_twice_is_one(lab: Lab) -> None:
    """A retry with the same ``client_message_id`` gets the same ack, over either door, and is heard once."""
    alice = await lab.client("alice", instance=0, conversation="twice")
    bob = await lab.client("bob", instance=1, conversation="twice")
    first = await alice.send("hello", client_message_id="c-1")
    again = await alice.send("hello", client_message_id="c-1")
    http = await lab.http("alice", instance=1)
    body = {"content": "hello", "client_message_id": "c-1"}
    over_http = (await http.post(f"/api/v1/conversations/{alice.conversation_id}/messages", json=body)).json()
    assert first == again == (over_http["id"], over_http["seq"], "c-1")
    await alice.send("next")
    await bob.expect("new_message", text="next")
    assert bob.texts == ["hello", "next"]
    for client in (alice, bob):
        await client.close()


async def test_http_and_websocket_are_one_path(lab: Lab) -> None:
    """A message posted over HTTP reaches all sockets, the poster's own too, with every field it was sent with."""
    alice = await lab.client("alice", instance=0, conversation="http")
    bob = await lab.client("bob", instance=1, conversation="http")
    http = await lab.http("alice", instance=1)
    body = {"type": "structured", "content": {"n": [1, 2]}, "is_important": True, "extra_metadata": {"a": 1}}
    answer = await http.post(f"/api/v1/conversations/{alice.conversation_id}/messages", json=body)
    assert answer.status_code == 201
    for client in (alice, bob):
        frame = await client.expect("new_message")
        assert frame["data"] == answer.json()
        assert frame["conversation_id"] == alice.conversation_id
    assert answer.json()["timestamp"].endswith(("Z", "+00:00"))
    for client in (alice, bob):
        await client.close()


async def test_mallory_gets_in_by_neither_door(lab: Lab) -> None:
    """Who is no participant can not post, read, add anybody or see the conversation."""
    conversation = await lab.conversation("private", "alice")
    http = await lab.http("mallory")
    path = f"/api/v1/conversations/{conversation}"
    answers = [
        await http.post(f"{path}/messages", json={"content": "let me in"}),
        await http.get(f"{path}/messages"),
        await http.get(path),
        await http.post(f"{path}/participants", json={"user_id": "mallory"}),
        await http.delete(f"{path}/participants/alice"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert {answer.json()["error"]["code"] for answer in answers} == {"forbidden"}


async def test_who_is_removed_hears_no_more(lab: Lab) -> None:
    """Removal ends the user's sockets on every instance with 4003, and nobody else's."""
    alice = await lab.client("alice", instance=0, conversation="removal")
    bobs = [await lab.client("bob", instance=place, conversation="removal") for place in (0, 1)]
    http = await lab.http("alice")
    path = f"/api/v1/conversations/{alice.conversation_id}/participants/bob"
    assert (await http.delete(path)).status_code == 204
    for bob in bobs:
        assert await bob.wait_closed(2) == (4003, "no longer a participant")
    await alice.send("between us")
    assert alice.is_open
    await alice.close()


async def test_bad_frames_are_answered_and_the_connection_stays(lab: Lab) -> None:
    """Each kind of bad frame gets its code; the eleventh in a row would be too many."""
    alice = await lab.client("alice", conversation="bad frames")
    for raw, code in (
        ("{", "bad_json"),
        ("[]", "bad_json"),
        (b"\x00", "bad_json"),
        ("{}", "invalid"),
        ('{"type":"dance","client_message_id":"c-9"}', "unknown_type"),
        ('{"type":"text"}', "invalid"),
        ('{"type":"text","content":"  "}', "invalid"),
    ):
        await alice.send_raw(raw)
        frame = await alice.expect("error")
        assert frame["data"]["code"] == code
    assert frame["data"].keys() == {"code", "message"}
    assert alice.received("error")[4]["data"]["client_message_id"] == "c-9"
    assert (await alice.send("still fine")).seq == 1
    await alice.close()


async def test_too_many_bad_frames_end_in_1008(lab: Lab) -> None:
    """Ten frames that can not be read are answered; then the server hangs up."""
    alice = await lab.client("alice", conversation="strikes")
    for _ in range(10):
        await alice.send_raw("nonsense")
    assert (await alice.wait_closed())[0] == 1008
    assert len(alice.received("error")) == 10


async def test_a_frame_that_is_too_large_ends_in_1009(lab: Lab) -> None:
    """Over 64 KiB nothing is parsed."""
    alice = await lab.client("alice", conversation="large")
    await alice.send_raw("x" * (64 * 1024 + 1))
    assert (await alice.wait_closed())[0] == 1009


async def test_expectations_say_what_came_instead(lab: Lab) -> None:
    """The lab's own words, when something does not arrive or should not have."""
    alice = await lab.client("alice", instance=0, conversation="words")
    bob = await lab.client("bob", instance=1, conversation="words")
    await alice.send("hello")
    with pytest.raises(
        ExpectationFailed, match=r"bob expected new_message, text='goodbye'; within 0.3 s came:\n(?s:.)*hello"
    ):
        await bob.expect("new_message", text="goodbye", timeout=0.3)
    with pytest.raises(UnexpectedFrame, match="bob was to get no new_message"):
        await bob.expect_nothing("new_message")
    for client in (alice, bob):
        await client.close()
