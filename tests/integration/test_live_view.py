"""The live view on real processes: what it shows is what the instances hold, and it ends with its lab."""

import asyncio
import os
import signal
from typing import Any

import pytest

from course import Lab
from course.workbench.live import LiveView

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What goes to the pages."""
    news: list[dict[str, Any]] = []
    monkeypatch.setattr(LiveView, "send", lambda _view, content, buffers=None: news.append(content))
    return news


async def test_it_shows_what_the_instances_hold_and_what_is_done_to_them(sent: list[dict[str, Any]]) -> None:
    """State by hops equals the instances' own snapshots; a fault is a mark; what is lost has its reason; it ends."""
    async with Lab(instances=2) as lab:
        view = lab.live()
        alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
        phone = await lab.client("bob", instance=1, device_type="mobile")
        await alice.send("hello")
        for one in (bob, phone):
            await one.expect("new_message", text="hello")
        for number in (0, 1):
            await assert_same_state(lab, view, number)

        await assert_a_page_can_ask_again(view, sent)

        await phone.close()
        await lab.kill(1)
        await bob.wait_closed()
        last = await alice.send("still there?")
        lost = {(view.timeline.label(one.target), one.reason) for one in view.missing}
        assert lost == {("bob", "instance-1 was killed")}
        assert "killed (SIGKILL)" in repr(view)
        only = lab.live(last, expected=[phone])
        assert "commit, seq 1" not in repr(only)
        assert {only.timeline.label(one.target) for one in only.missing if one.message == 2} == {"bob", "bob 2"}
    assert view.status == "ended"
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "live view"]
    assert_complete(view, sent)
    bundle, _ = view._repr_mimebundle_()
    kinds = {"text/plain", "image/svg+xml", "text/vnd.mermaid", "application/vnd.jupyter.widget-view+json"}
    assert bundle.keys() == kinds


async def assert_a_page_can_ask_again(view: LiveView, sent: list[dict[str, Any]]) -> None:
    """A page that has missed something asks, on a thread of Jupyter's; it is answered from the lab's loop."""
    await asyncio.to_thread(view._on_message, view, {"kind": "resync"}, [])
    await asyncio.sleep(0)  # what the thread has handed to the loop comes first
    (answer,) = [news for news in sent if news["kind"] == "everything"]
    assert [row["number"] for row in answer["rows"]] == [row.number for row in view.timeline.rows]


async def test_redis_as_it_is(lab: Lab) -> None:
    """The commands of each instance, those of one message, shown beside its hops; keys and channels by name."""
    alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
    view = lab.live()
    async with lab.redis.monitor() as seen:
        sent = await alice.send("hello")
        await bob.expect("new_message", text="hello")
    (published,) = seen.of(sent)
    assert (published.instance, published.name) == ("instance-0", "PUBLISH")
    assert published.arguments.startswith("ws:conversation:general {")
    assert seen.counts["PUBLISH"] >= 1
    assert {command.instance for command in seen.commands} <= {"instance-0", "instance-1"}
    assert seen.dropped == 0
    assert "PUBLISH" in repr(seen)
    commands = [row for row in view.rows if row.hop == "redis_command" and row.message is not None]
    beside = [row.what for row in commands if row.ids["message_id"] == sent.id]
    assert beside == ["PUBLISH ws:conversation:general"]

    state = await lab.redis.keys()
    assert state.channels["ws:conversation:general"] == 2
    leases = {key.name: key for key in state.keys}["{ws:online_users}:alice"]
    assert leases.ttl_s is not None
    assert 0 < leases.ttl_s <= 30
    assert not [key.name for key in state.keys if lab.key_prefix in key.name]
    assert "who listens" in repr(state)
    assert "<table>" in state._repr_html_()


async def test_topology_follows_what_is_done(lab: Lab) -> None:
    """Who is where, a link that was cut, a reader that stalls, a client that has gone."""
    carol, dave = await lab.client("carol", conversation="few"), await lab.client("dave", conversation="few")
    dave.stall()
    await lab.redis.cut(instance=1)
    cut = lab.topology()
    await lab.redis.restore()
    assert [one.link for one in cut.instances] == ["whole", "cut"]
    assert cut.conversations["few"] == 2
    assert {one.user: one.state for one in cut.instances[0].clients if one.conversation == "few"} == {
        "carol": "open",
        "dave": "stalled",
    }
    await carol.close()
    await dave.close()
    assert "few" not in lab.topology().conversations


async def test_an_instance_that_ends_by_itself_is_seen() -> None:
    """Nobody has killed it, and it is gone: the view says so, and why the message did not arrive."""
    async with Lab(instances=2) as lab:
        alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
        view = lab.live()
        pid = lab.pid(1)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)  # not through the lab, which would know
        await bob.wait_closed()
        await alice.send("still there?")
        async with asyncio.timeout(10):
            while not [row for row in view.rows if row.hop == "die"]:  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.05)
    assert [row.what for row in view.rows if row.group == "fault"] == ["ended by itself"]
    assert [one.reason for one in view.missing] == ["instance-1 ended by itself"]
    assert view.state("instance-1", "process") == {"state": "dead"}
    assert view.state("instance-1", "connections") == {}


async def assert_same_state(lab: Lab, view: LiveView, number: int) -> None:
    """What the hops tell of an instance, beside what it says of itself."""
    said = await lab.state(number)
    async with asyncio.timeout(5):
        while set(said["conversations"].values()) != {1}:  # it may hear its message later than the one next door
            said = await lab.state(number)
    instance = f"instance-{number}"
    users = sorted(record["user_id"] for record in said["connections"])
    by_hops = {manager: view.state(instance, manager) for manager in ("connections", "outboxes", "leases", "channels")}
    assert sorted(label.split()[0] for label in by_hops["connections"]) == users
    assert sorted(label.split()[0] for label in by_hops["leases"]) == sorted(said["leases"].values())
    assert set(by_hops["outboxes"].values()) == {"empty"}
    assert sorted(by_hops["channels"].values()) == sorted(f"seq {seq}" for seq in said["conversations"].values())


def assert_complete(view: LiveView, sent: list[dict[str, Any]]) -> None:
    """Put together, what was sent to the pages is what the view has: every row once, in order."""
    numbers = [row["number"] for news in sent if news["kind"] == "news" for row in news["rows"]]
    assert set(numbers) >= {row.number for row in view.timeline.rows}
    assert sent[-1]["status"] == "ended"
