"""The notebooks' library on real processes: what a learner does with it, and what it says when that goes wrong."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from fastapi import FastAPI

from course import Lab, ToyServer
from course.errors import UserError
from course.workbench.client import ExpectationFailed, UnexpectedFrame
from reference_impl.core.presence_manager import PresenceManager


async def test_clients_that_come_at_once_meet_in_one_conversation() -> None:
    """Ten users named at the same moment, on two instances: one conversation, and everybody hears."""
    async with Lab(instances=2) as lab:
        users = [f"user-{number}" for number in range(10)]
        clients = await asyncio.gather(*(lab.client(user, instance=n % 2) for n, user in enumerate(users)))
        assert len({client.conversation_id for client in clients}) == 1
        await clients[0].send("hello")
        for client in clients[1:]:
            await client.expect("new_message", text="hello")


async def test_expectations_in_any_order_and_each_frame_once() -> None:
    """``expect`` takes the first frame that fits and was not taken; what came too early or wrongly is told."""
    async with Lab(instances=1) as lab:
        alice, bob = await lab.client("alice"), await lab.client("bob")
        for text in ("one", "two", "one"):
            await alice.send(text)
        await bob.expect("new_message", text="two")
        assert (await bob.expect("new_message", text="one"))["data"]["seq"] == 1
        assert (await bob.expect("new_message", text="one"))["data"]["seq"] == 3
        with pytest.raises(ExpectationFailed, match=r"bob expected new_message, text='one'; within 0.1 s came:"):
            await bob.expect("new_message", text="one", timeout=0.1)
        await bob.expect_nothing("new_message", within=0.05)
        await alice.send("too much")
        with pytest.raises(UnexpectedFrame, match=r"bob was to get no new_message, and got .*too much"):
            await bob.expect_nothing("new_message", within=5)


async def test_a_stalled_client_can_be_closed_and_killed() -> None:
    """Neither waits for a client that does not read."""
    async with Lab(instances=1) as lab:
        polite, rude = await lab.client("alice"), await lab.client("bob")
        polite.stall()
        rude.stall()
        async with asyncio.timeout(2):
            await polite.close()
            rude.kill()
            assert (await rude.wait_closed())[0] == 1006
        assert not polite.is_open
        with pytest.raises(UserError, match="alice's connection is closed"):
            await polite.send("too late")


async def test_two_labs_at_once_hear_nothing_of_each_other(redis_url: str) -> None:
    """Also on one Redis: each has its own users, conversations, and prefix; no key is left in it."""
    with redis.Redis.from_url(redis_url) as client:
        before = set(client.keys())
        async with Lab(instances=2, redis_url=redis_url) as one, Lab(instances=2, redis_url=redis_url) as other:
            alices = [await lab.client("alice", instance=0) for lab in (one, other)]
            bobs = [await lab.client("bob", instance=1) for lab in (one, other)]
            assert set(client.keys()) > before, "presence is kept there"
            await alices[0].send("hello")
            await bobs[0].expect("new_message", text="hello")
            await bobs[1].expect_nothing("new_message")
        assert set(client.keys()) == before


async def test_a_killed_instance_comes_back_on_its_port_as_itself() -> None:
    """Restart: same port, same name, new process. A drain exits with 0. Both are said in the lab's text."""
    async with Lab(instances=2) as lab:
        url, pid = lab.url(1), lab.pid(1)
        await lab.kill(1)
        assert lab.pid(1) is None
        assert "instance 1" in repr(lab)
        assert "ended with -9" in repr(lab)
        with pytest.raises(UserError, match="instance 1 is not running; restart it first"):
            await lab.state(1)
        await lab.restart(1)
        assert lab.url(1) == url
        assert lab.pid(1) not in (None, pid)
        assert (await lab.state(1))["instance_id"] == "instance-1"
        assert await lab.drain(0) == 0
        assert "ended with 0" in repr(lab)
        with pytest.raises(UserError, match="there is no instance 2; this lab has 0 to 1"):
            await lab.kill(2)


async def test_redis_can_hang_and_go_on() -> None:
    """While Redis is paused an ack still comes, and the message arrives from the store; afterwards all is as before."""
    async with Lab(instances=2) as lab:
        alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
        await lab.redis.pause()
        await alice.send("into the silence")
        await bob.expect("new_message", text="into the silence", timeout=10)
        await lab.redis.resume()
        await alice.send("and out of it")
        await bob.expect("new_message", text="and out of it", timeout=10)


async def test_a_lab_whose_redis_hangs_still_stops() -> None:
    """Stopping does not wait for what is paused; the second stop does nothing."""
    before = set(psutil.Process().children(recursive=True))
    lab = await Lab.start(instances=2)
    await lab.client("alice")
    await lab.redis.pause()
    async with asyncio.timeout(4):
        await lab.stop()
    assert set(psutil.Process().children(recursive=True)) == before
    await lab.stop()


class Talkative(PresenceManager):
    """Prints, and asks for input, as people do who look for a mistake."""

    async def add_user_to_online(self, *args: Any, **options: Any) -> Any:
        print("a learner looks for a mistake")  # noqa: T201
        assert sys.stdin.read() == ""
        return await super().add_user_to_online(*args, **options)


async def test_what_a_learners_class_prints_is_in_the_log() -> None:
    """It neither disturbs the lab's own talk with its processes nor gets lost."""
    assert hasattr(PresenceManager, "add_user_to_online")
    async with Lab(instances=1, overrides={"presence_manager": Talkative}) as lab:
        await lab.client("alice")
        assert len((await lab.state(0))["connections"]) == 1
        assert "a learner looks for a mistake" in lab.log(0, lines=1000)


class BrokenConstructor:
    def __init__(self, **_: Any) -> None:
        raise RuntimeError("no such luck")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"overrides": {"presense_manager": object}}, "no part is named presense_manager; the parts are"),
        ({"overrides": {"presence_manager": BrokenConstructor}}, "did not start: RuntimeError: no such luck"),
        ({"overrides": {"presence_manager": 1}}, "did not start: AttributeError: 'int' object has no attribute"),
        ({"overrides": {"clock": threading.Lock()}}, "this can not be sent to a server process: "),
        ({"settings": {"RATE_LIMIT_MAX": 5}}, "no setting RATE_LIMIT_MAX; did you mean RATE_LIMIT_MAX_MESSAGES"),
        ({"settings": {"outbox_frames": "many"}}, "CHAT_OUTBOX_FRAMES: Input should be a valid integer"),
        ({"instances": 0}, "at least one instance"),
        ({"redis_url": "redis://127.0.0.1:1/0"}, "no Redis answers at redis://127.0.0.1:1/0"),
    ],
)
async def test_a_mistake_is_one_line_and_leaves_nothing(
    options: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong, without a traceback; no process and no folder stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(UserError) as failure:
        await Lab.start(**({"instances": 1} | options))
    assert says in failure.value.message
    assert "\n" not in failure.value.message
    assert set(psutil.Process().children(recursive=True)) == before
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's would be blocking, says the linter


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """A learner's own settings, for a server of theirs."""
    path = tmp_path / ".env"
    path.write_text("CHAT_MAX_CONNECTIONS_PER_USER=1\n")
    return path


async def test_settings_are_the_servers_and_env_files_are_not_read(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner's ``.env`` and ``CHAT_`` variables do not change an experiment; ``settings`` does."""
    monkeypatch.chdir(env_file.parent)
    monkeypatch.setenv("CHAT_MAX_CONNECTIONS_PER_USER", "1")
    async with Lab(instances=1) as lab:
        await lab.client("alice")
        await lab.client("alice")
    async with Lab(instances=1, settings={"CHAT_MAX_CONNECTIONS_PER_USER": 1}) as lab:
        first = await lab.client("alice")
        second = await lab.connect("alice", instance=0, conversation_id=first.conversation_id)
        assert (await second.wait_closed())[0] == 4008


async def test_a_relative_database_is_where_the_learner_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sqlite:///mine.db`` is made in the current folder, and survives the lab."""
    monkeypatch.chdir(tmp_path)
    async with Lab(instances=1, database_url="sqlite:///mine.db") as lab:
        await (await lab.client("alice")).send("to stay")
    assert os.listdir(tmp_path) == ["mine.db"]  # noqa: PTH208
    async with Lab(instances=1, database_url="sqlite:///mine.db") as lab:
        http = await lab.http("alice")
        assert [one["title"] for one in (await http.get("/api/v1/conversations")).json()] == ["general"]


async def test_the_trace_of_a_real_message() -> None:
    """Every hop in causal order on one clock; the state view knows the same connections."""
    async with Lab(instances=2) as lab:
        alice, carol = await lab.client("alice", instance=0), await lab.client("carol", instance=1)
        ack = await alice.send("hello")
        await carol.expect("new_message", text="hello")
        trace = lab.trace(ack)
        way = ["client_sent", "received", "stored", "event_published", "broadcast", "published", "bus_received"]
        firsts = [trace.names.index(name) for name in [*way, "enqueued", "client_received"]]
        assert firsts == sorted(firsts)
        assert trace.lanes() == ["alice", "instance-0", "store", "Redis", "instance-1", "carol"]
        assert set(trace.latency_ms) == {"carol"}
        assert set(trace._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
        assert "never arrived" not in repr(lab.trace(ack, expected=[carol]))
        assert list((await lab.state(1))["connections_by_user"]) == ["carol"]


async def test_a_trace_asked_for_at_once_is_complete() -> None:
    """The receiver next door is often faster than the sender's own instance; the trace does not depend on it."""
    async with Lab(instances=2) as lab:
        alice, bob = await lab.client("alice", instance=0), await lab.client("bob", instance=1)
        shown = set()
        for number in range(100):
            ack = await alice.send(str(number))
            await bob.expect("new_message", text=str(number))
            shown.add(re.sub(r" *\d+\.\d\d ms|seq \d+", "", repr(lab.trace(ack))))
        assert len(shown) == 1, shown


async def test_a_trace_of_what_redis_never_passed_on_does_not_wait_for_ever() -> None:
    """A paused Redis: the trace comes soon, and ends at the store."""
    async with Lab(instances=1) as lab:
        alice, bob = await lab.client("alice"), await lab.client("bob")
        await lab.redis.pause()
        ack = await alice.send("hello")
        start = time.monotonic()
        trace = lab.trace(ack, expected=[bob])
        assert time.monotonic() - start < 2
        assert "stored" in trace.names
        assert "bus_received" not in trace.names
        assert "never arrived" in repr(trace)
        await lab.redis.resume()


async def test_a_taken_port_is_named() -> None:
    """`course serve` on a port that somebody has."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        command = [sys.executable, "-m", "course", "serve", "--instances", "1", "--port", str(port)]
        ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert f"port {port} on 127.0.0.1 is not free" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def make_app() -> FastAPI:
    """A learner's server, as small as they come."""
    app = FastAPI()

    @app.get("/")
    async def hello() -> str:
        print("somebody came")  # noqa: T201
        return "hello"

    return app


@pytest.mark.parametrize("what", [make_app, make_app()], ids=["a function that makes it", "the app itself"])
async def test_a_learners_own_server_runs_in_a_process_of_its_own(what: Any) -> None:
    """A function that makes the app, or the app; what it prints is in its log; it ends with the block."""
    async with Lab(instances=1) as lab, ToyServer(what) as toy:
        http = await lab.http("alice")  # any HTTP client will do
        assert (await http.get(toy.url)).json() == "hello"
        assert "somebody came" in toy.log()
        pid = toy.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_server_that_can_not_be_made_says_why() -> None:
    """The learner's own exception, in one line."""

    def make_nothing() -> FastAPI:
        raise LookupError("I forgot something")

    with pytest.raises(UserError, match="the toy server did not start: LookupError: I forgot something"):
        async with ToyServer(make_nothing):
            pass
