"""Typing, delivered, read, unread: what members see of one another."""

import asyncio

import pytest

from course import Lab
from course.workbench.lab_settings import lab_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_others_see_somebody_type(lab: Lab) -> None:
    """On every instance, not on the typist's own devices, and once for many keys."""
    alice, alices_phone, bob = [
        await lab.client(user, instance=place, conversation="typing")
        for user, place in (("alice", 0), ("alice", 1), ("bob", 1))
    ]
    for _ in range(20):
        await alice.send_frame({"type": "typing", "is_typing": True})
    await bob.expect("typing", user_id="alice", is_typing=True)
    await alice.send_frame({"type": "typing", "is_typing": False})
    await bob.expect("typing", user_id="alice", is_typing=False)
    assert len(bob.received("typing")) == 2
    assert alice.received("typing") == alices_phone.received("typing") == []
    await alice.send_frame({"type": "typing", "is_typing": True})
    await bob.expect("typing", user_id="alice", is_typing=True)
    alice.kill()
    await bob.expect("typing", user_id="alice", is_typing=False)
    for client in (alices_phone, bob):
        await client.close()


async def test_receipts_reach_everybody_and_last(lab: Lab) -> None:
    """``delivered`` and ``read`` are told with their number, only move forward, and are there over HTTP."""
    alice, bob = [await lab.client(user, instance=n, conversation="read") for n, user in enumerate(("alice", "bob"))]
    for number in range(3):
        await alice.send(str(number))
    await bob.expect("new_message", seq=3)
    path = f"/api/v1/conversations/{alice.conversation_id}"
    as_bob, as_alice = await lab.http("bob", instance=0), await lab.http("alice", instance=1)
    assert (await as_bob.get(path)).json()["unread_count"] == 3

    await bob.send_frame({"type": "delivered", "seq": 3})
    await alice.expect("delivered", user_id="bob", seq=3)
    await bob.send_frame({"type": "read", "seq": 2})
    await alice.expect("read", user_id="bob", seq=2)
    await bob.send_frame({"type": "read", "seq": 1})
    assert (await as_bob.post(f"{path}/read", json={"seq": 99})).status_code == 204
    await alice.expect("read", user_id="bob", seq=3)
    assert [frame["data"]["seq"] for frame in alice.received("read")] == [2, 3], "1 was no news, 99 is cut"

    seen = (await as_alice.get(path)).json()
    assert (seen["positions"]["bob"], seen["unread_count"]) == ({"delivered": 3, "read": 3}, 0)
    assert (await as_bob.get("/api/v1/conversations")).json()[0]["unread_count"] == 0
    history = (await as_alice.get(f"{path}/messages")).json()
    assert [message["is_read"] for message in history] == [True, True, True]
    for client in (alice, bob):
        await client.close()


async def test_strangers_do_none_of_it(lab: Lab) -> None:
    """Somebody who takes no part can neither mark as read nor learn anything."""
    alice = await lab.client("alice", instance=0, conversation="private")
    await alice.send("hello")
    mallory = await lab.http("mallory")
    path = f"/api/v1/conversations/{alice.conversation_id}"
    for answer in await asyncio.gather(
        mallory.post(f"{path}/read", json={"seq": 1}), mallory.get(path), mallory.get(f"{path}/messages")
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    await alice.close()


@pytest.mark.parametrize(
    "frame",
    [{"type": "read", "seq": -1}, {"type": "resume"}, {"type": "typing", "is_typing": "yes"}, {"type": "delivered"}],
)
async def test_a_frame_without_sense_is_told(lab: Lab, frame: dict[str, object]) -> None:
    """A missing or senseless field: an error frame, and the connection stays."""
    alice = await lab.client("alice", instance=0, conversation="senseless frames")
    await alice.send_frame(frame)
    await alice.expect("error", code="invalid")
    await alice.send("still here")
    await alice.close()


async def test_a_device_is_told_which_conversations_it_follows(lab: Lab) -> None:
    """A device-wide connection hears that its user was added and removed, and that others were; one of another
    instance, too. A connection on one conversation is not told: it shows no list."""
    owner = await lab.client("owner", conversation="told", instance=0)
    device = await lab.client("guest", conversation=None, instance=1)
    conversation_id = await lab.conversation("told", "guest")
    joined = await device.expect("system_notification", code="conversation_joined")
    assert joined["conversation_id"] == conversation_id
    await lab.conversation("told", "another")
    changed = await device.expect("system_notification", code="participants_changed")
    assert changed["conversation_id"] == conversation_id
    http = await lab.http("owner")
    await http.delete(f"/api/v1/conversations/{conversation_id}/participants/guest")
    left = await device.expect("system_notification", code="conversation_left")
    assert left["conversation_id"] == conversation_id
    assert not owner.received("system_notification")
    for client in (owner, device):
        await client.close()


async def test_the_chat_page_on_a_hub(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only Jupyter's port is open, it comes through that; several users are side by side."""
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    ports = [lab.url(number).rsplit(":", 1)[1] for number in range(2)]
    pages = lab.pages("alice", "bob", conversation="a & b")
    assert [page.url for page in pages] == [
        f"/user/ann/proxy/{port}/?user={user}&conversation=a+%26+b"
        for port, user in zip(ports, ("alice", "bob"), strict=True)
    ]
    assert pages._repr_html_().count("<iframe") == 2
    assert "Chat as bob" in repr(pages)
    await lab.conversation("a & b", "alice", "bob")
    assert lab_settings({})["TRUSTED_PROXIES"] == "127.0.0.1"


async def test_the_chat_page_of_a_lab(lab: Lab) -> None:
    """It shows itself in a notebook, its user is in the conversation, and its instance knows where the others are."""
    page = lab.page("alice", instance=1, conversation="a & b")
    assert page.url == f"{lab.url(1)}/?user=alice&conversation=a+%26+b"
    assert f'<iframe src="{lab.url(1)}/?user=alice&amp;conversation=a+%26+b"' in page._repr_html_()
    assert page.url in repr(page)
    await lab.conversation("a & b", "alice")
    http = await lab.http("alice", instance=1)
    assert "a & b" in [one["title"] for one in (await http.get("/api/v1/conversations")).json()]
    assert (await http.get("/api/v1/page-config")).json()["peer_urls"] == [lab.url(0)]
