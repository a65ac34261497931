"""The client library against a server that plays a script: real sockets, and every way a connection can end."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from course.chat_client import Backoff, ChatClient, ClientClosed, Message, SendRefused, SendTimeout, Sequencer
from course.chat_client.client import Frame

DEADLINE_S = 10.0
FAST = Backoff(first=0.005, longest=0.02)


class Peer:
    """The server's end of one connection."""

    def __init__(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        self.websocket = websocket
        url = urlsplit(websocket.request.path)
        self.path = url.path
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        offered = websocket.request.headers["Sec-WebSocket-Protocol"].split(", ")
        self.token = next(name.removeprefix("bearer.") for name in offered if name.startswith("bearer."))

    async def say(self, action: str, **data: Any) -> None:
        frame = {"action": action, "data": data, "conversation_id": "general", "timestamp": "2026-01-01T00:00:00+00:00"}
        await self.websocket.send(json.dumps(frame))

    async def connected(self, seq: int, *, heartbeat_interval: float = 30) -> None:
        await self.say("connected", user_id="alice", seq=seq, heartbeat_interval=heartbeat_interval)

    async def messages(self, *seqs: int) -> None:
        for seq in seqs:
            await self.say("new_message", **message(seq))

    async def hear(self, kind: str) -> Frame:
        """The next frame of the client; it must be of this kind."""
        async with asyncio.timeout(DEADLINE_S):
            frame: Frame = json.loads(await self.websocket.recv())
        assert frame["type"] == kind
        return frame

    async def ack(self, sent: Frame, seq: int) -> None:
        await self.say("ack", client_message_id=sent["client_message_id"], id=f"m{seq}", seq=seq)

    async def stay(self) -> None:
        """Until the client has gone."""
        async with asyncio.timeout(DEADLINE_S):
            await self.websocket.wait_closed()

    def cut(self) -> None:
        """Ends the connection without a word."""
        self.websocket.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Stage:
    """A server that plays the n-th script on the n-th connection, and the last one on all after it."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.url = ""
        self.peers: list[Peer] = []
        self.failures: list[Exception] = []
        self._scripts = scripts

    async def play(self, websocket: ServerConnection) -> None:
        peer = Peer(websocket)
        script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
        self.peers.append(peer)
        try:
            with suppress(ConnectionClosed):
                await script(peer)
        except Exception as error:  # noqa: BLE001 - the test is to see it, not the server's log
            self.failures.append(error)


@asynccontextmanager
async def playing(*scripts: Script) -> AsyncIterator[Stage]:
    stage = Stage(scripts)
    async with serve(stage.play, "127.0.0.1", 0, subprotocols=[Subprotocol("chat.v1")], close_timeout=1) as server:
        stage.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield stage
    for failure in stage.failures:
        raise failure


def message(seq: int, sender: str = "bob") -> Message:
    return {"id": f"m{seq}", "seq": seq, "sender_id": sender, "content": {"text": f"text {seq}"}}


def client(stage: Stage, **options: Any) -> ChatClient:
    quick: dict[str, Any] = {"backoff": FAST, "gap_grace": 0.02}
    return ChatClient(stage.url, "general", "token", **(quick | options))


async def take(chat: ChatClient, count: int) -> list[Message]:
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(chat) for _ in range(count)]


async def take_seqs(chat: ChatClient, count: int) -> list[int]:
    return [message["seq"] for message in await take(chat, count)]


async def rest(chat: ChatClient) -> list[Message]:
    """What is left in a client that has ended or is about to."""
    async with asyncio.timeout(DEADLINE_S):
        return [message async for message in chat]


def silent_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def one_message(peer: Peer) -> None:
    """Who has got it has this connection."""
    await peer.connected(0)
    await peer.messages(1)
    await peer.stay()


def closes(code: int, reason: str = "") -> Script:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        await peer.websocket.close(code, reason)

    return script


# ---- the sequencer ---------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_arrival_gives_each_message_once_in_order(data: st.DataObject) -> None:
    """Doubled, mixed up, own ones at any time: what came out is the longest unbroken start; a gap is told as one."""
    numbers = list(range(1, data.draw(st.integers(1, 12)) + 1))
    own = data.draw(st.sets(st.sampled_from(numbers)))
    again = data.draw(st.lists(st.sampled_from(numbers), max_size=12))
    acks = [(seq, True) for seq in own]
    frames = [(seq, False) for seq in [*(set(numbers) - own), *again]]  # an own one may come as a message too
    sequencer, out, seen = Sequencer(), list[int](), set[int]()
    for seq, is_ack in data.draw(st.permutations(acks + frames)):
        offer = sequencer.offer_own if is_ack else sequencer.offer
        out += [each["seq"] for each in offer(seq, message(seq))]
        seen.add(seq)
        assert out == numbers[: len(out)]
        assert set(out) <= seen
        assert sequencer.last_seq == len(out)
        assert sequencer.has_gap == (seen != set(out))
        assert len(out) == len(numbers) or len(out) + 1 not in seen
    assert out == numbers
    assert not sequencer.has_gap


@given(st.permutations(range(1, 20)), st.integers(1, 5))
def test_a_full_buffer_is_dropped_and_a_resume_brings_it_all(arrival: list[int], max_held: int) -> None:
    sequencer, out = Sequencer(max_held=max_held), list[int]()
    for seq in arrival:
        out += [each["seq"] for each in sequencer.offer(seq, message(seq))]
    assert sequencer.has_gap == (len(out) < 19)
    for seq in range(sequencer.last_seq + 1, 20):  # what the answer to a resume is
        out += [each["seq"] for each in sequencer.offer(seq, message(seq))]
    assert out == list(range(1, 20))
    assert not sequencer.has_gap


def test_a_head_that_was_not_seen_is_a_gap() -> None:
    sequencer = Sequencer(4)

    def has_gap_at(head: int) -> bool:
        sequencer.note_head(head)
        return sequencer.has_gap

    assert [has_gap_at(head) for head in (3, 4, 5)] == [False, False, True]
    assert sequencer.offer(5, message(5)) == [message(5)]
    assert not has_gap_at(5)


@pytest.mark.parametrize(
    ("last_seq", "head", "snapshot", "delivered"),
    [
        (3, 9, [7, 8, 9], [7, 8, 9]),  # messages 4 to 6 can not be had any more
        (3, 5, [2, 3, 4, 5], [4, 5]),  # overlaps with what was delivered
        (3, 5, [4, 5], [4, 5]),
        (3, 3, [2, 3], []),
        (8, 2, [1, 2], [1, 2]),  # the head is lower: another history
        (8, 5, [4, 5], [4, 5]),
        (8, 0, [], []),
        (3, 5, [], []),  # the messages are gone, their numbers are not
    ],
)
def test_snapshot(last_seq: int, head: int, snapshot: list[int], delivered: list[int]) -> None:
    """After it live messages go on from the head."""
    sequencer = Sequencer(last_seq)
    sequencer.offer(last_seq + 2, message(last_seq + 2))  # held, and to be dropped
    sequencer.expect_snapshot(head)
    out = [each["seq"] for seq in snapshot for each in sequencer.offer(seq, message(seq))]
    assert out == delivered
    if last_seq + 2 <= head + 1 or head < last_seq:
        assert [each["seq"] for each in sequencer.offer(head + 1, message(head + 1))] == [head + 1]
        assert not sequencer.has_gap


def test_an_ack_ahead_of_the_snapshot_keeps_its_place() -> None:
    sequencer = Sequencer(3)
    sequencer.expect_snapshot(9)
    assert sequencer.offer_own(10, message(10, "alice")) == []
    assert sequencer.has_gap
    assert sequencer.offer(8, message(8)) == [message(8)]
    assert [each["seq"] for each in sequencer.offer(9, message(9))] == [9, 10]
    assert not sequencer.has_gap


# ---- backoff ---------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers())
def test_backoff_stays_within_its_bounds(failures: int, seed: int) -> None:
    backoff = Backoff(first=0.1, factor=2, longest=5, rng=random.Random(seed))
    assert 0.1 <= backoff.limit(failures) <= 5
    assert 0 <= backoff.pause(failures) <= backoff.limit(failures)
    assert 2.5 <= backoff.late() <= 5


def test_backoff_grows_to_its_longest() -> None:
    assert [Backoff().limit(failures) for failures in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


class Dice(random.Random):
    """Throws nothing: remembers between which bounds it was to."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append((a, b))
        return 0.0


@pytest.mark.parametrize(
    ("code", "reason", "bounds"),
    [
        (1012, "restarting; reconnect within 5 s", (0, 5)),
        (1012, "restarting; reconnect within 2.5 s", (0, 2.5)),
        (1012, "", (0, 5)),
        (4008, "too many connections", (2, 4)),
        (1013, "too slow", (0, 1)),
        (1011, "server error", (0, 1)),
        (1001, "", (0, 1)),
    ],
)
async def test_close_codes_after_which_it_comes_back(code: int, reason: str, bounds: tuple[float, float]) -> None:
    dice = Dice()
    backoff = Backoff(first=1, longest=4, rng=dice)
    async with playing(closes(code, reason), one_message) as stage, client(stage, backoff=backoff) as chat:
        assert await take_seqs(chat, 1) == [1]
        assert chat.reconnects == 1
    assert dice.bounds == [bounds]


@pytest.mark.parametrize("code", [1008, 1009, 4003])
async def test_close_codes_that_end_the_client(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        await peer.messages(1)
        await peer.hear("text")
        await peer.websocket.close(code, "no more")

    async with playing(script) as stage, client(stage) as chat:
        with pytest.raises(ClientClosed) as caught:
            await chat.send("hello")
        assert (caught.value.code, caught.value.reason) == (code, "no more")
        assert [each["seq"] for each in await rest(chat)] == [1]
        assert chat.state == "closed"
        with pytest.raises(ClientClosed):
            await chat.send("again")
        assert len(stage.peers) == 1


async def test_a_connection_that_is_refused_at_once_fails_the_start() -> None:
    async def script(peer: Peer) -> None:
        await peer.websocket.close(4003, "not a participant")

    async with playing(script) as stage:
        with pytest.raises(ClientClosed, match="4003 not a participant"):
            async with client(stage):
                pass


# ---- tokens ----------------------------------------------------------------------------------------------------------


async def test_4001_asks_for_a_new_token() -> None:
    tokens = iter(["old", "new"])

    async def ask() -> str:
        return next(tokens)

    async with playing(closes(4001), one_message) as stage:
        async with ChatClient(stage.url, "general", ask, backoff=FAST) as chat:
            assert await take_seqs(chat, 1) == [1]
        assert [peer.token for peer in stage.peers] == ["old", "new"]


@pytest.mark.parametrize("fixed", [True, False])
async def test_a_token_that_is_rejected_again_ends_the_client(fixed: bool) -> None:
    """A fixed one at once: there is no other to be had."""

    async def script(peer: Peer) -> None:
        await peer.websocket.close(4001, "bad token")

    async def ask() -> str:
        return "token"

    async with playing(script) as stage:
        chat = ChatClient(stage.url, "general", "token" if fixed else ask, backoff=FAST)
        with pytest.raises(ClientClosed, match="4001 bad token"):
            await chat.start()
        await chat.close()
        assert len(stage.peers) == (1 if fixed else 2)


async def test_a_token_that_can_not_be_had_now_is_asked_for_again() -> None:
    answers: list[Any] = [ConnectionRefusedError("sign-in is away"), "token"]

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async with playing(one_message) as stage, ChatClient(stage.url, "general", ask, backoff=FAST) as chat:
        assert chat.state == "open"


async def test_a_bug_in_the_application_s_token_function_ends_the_client() -> None:
    async def ask() -> str:
        raise KeyError("access_token")

    async with playing(one_message) as stage:
        with pytest.raises(ClientClosed, match="KeyError") as caught:
            async with ChatClient(stage.url, "general", ask):
                pass
        assert isinstance(caught.value.__cause__, KeyError)


async def test_no_token_is_in_any_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with playing(closes(1011), one_message) as stage:
        async with ChatClient(stage.url, "general", "secret-token", backoff=FAST) as chat:
            await take(chat, 1)
        assert stage.peers[0].token == "secret-token"
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("course.")]
    assert any("1011" in line for line in lines)
    assert not any("secret-token" in line for line in lines)


# ---- receiving -------------------------------------------------------------------------------------------------------


async def test_messages_come_once_and_in_order() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        await peer.messages(2, 1, 3, 3, 2, 5, 4)
        await peer.stay()

    async with playing(script) as stage, client(stage, gap_grace=30) as chat:
        assert await take_seqs(chat, 5) == [1, 2, 3, 4, 5]
        assert (chat.last_seq, chat.duplicates, chat.resumes) == (5, 2, 0)


async def test_without_last_seq_it_starts_at_the_head() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(41)
        await peer.messages(42)
        await peer.stay()

    async with playing(script) as stage, client(stage, device_id="phone 1", device_type="mobile") as chat:
        assert await take_seqs(chat, 1) == [42]
        assert stage.peers[0].path == "/ws/general"
        assert stage.peers[0].query == {"device_id": "phone 1", "device_type": "mobile"}


async def test_a_broken_connection_goes_on_where_it_was() -> None:
    async def first(peer: Peer) -> None:
        await peer.connected(0)
        await peer.messages(1, 2)
        await peer.say("ping", timestamp=1.5, seq=2)
        await peer.hear("pong")  # so it has the messages
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.connected(4)
        await peer.say("resumed", recovered=True, seq=4)
        await peer.messages(3, 4, 5)
        await peer.stay()

    async with playing(first, second) as stage, client(stage) as chat:
        assert await take_seqs(chat, 5) == [1, 2, 3, 4, 5]
        assert stage.peers[1].query["last_seq"] == "2"
        assert (chat.reconnects, chat.resumes, chat.snapshots, chat.duplicates) == (1, 1, 0, 0)


async def test_a_last_seq_of_the_application_is_used_from_the_start() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(8)
        await peer.say("resumed", recovered=True, seq=8)
        await peer.messages(8)
        await peer.stay()

    async with playing(script) as stage, client(stage, last_seq=7) as chat:
        assert await take_seqs(chat, 1) == [8]
        assert stage.peers[0].query["last_seq"] == "7"


async def test_a_gap_that_stays_is_asked_for_until_it_is_filled() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        await peer.messages(1, 3)
        assert (await peer.hear("resume"))["last_seq"] == 1
        assert (await peer.hear("resume"))["last_seq"] == 1  # the first one was not answered
        await peer.say("resumed", recovered=True, seq=3)
        await peer.messages(2, 3)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        assert await take_seqs(chat, 3) == [1, 2, 3]
        assert chat.duplicates in (0, 1)


async def test_a_ping_is_answered_and_its_head_shows_a_gap() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(6)
        await peer.say("ping", timestamp=1.5, seq=None)
        assert (await peer.hear("pong"))["timestamp"] == 1.5
        await peer.say("ping", timestamp=2.5, seq=7)
        assert (await peer.hear("pong"))["timestamp"] == 2.5
        assert (await peer.hear("resume"))["last_seq"] == 6
        await peer.say("resumed", recovered=True, seq=7)
        await peer.messages(7)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        assert await take_seqs(chat, 1) == [7]


@pytest.mark.parametrize(
    ("head", "snapshot", "delivered", "replaced"),
    [(9, (7, 8, 9), [7, 8, 9, 10], False), (3, (2, 3), [2, 3, 4], True), (0, (), [1], True)],
)
async def test_a_snapshot_replaces_what_can_not_be_recovered(
    head: int, snapshot: tuple[int, ...], delivered: list[int], replaced: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(head)
        await peer.say("resumed", recovered=False, seq=head)
        await peer.messages(*snapshot, head + 1)
        await peer.stay()

    events: list[tuple[str, Frame]] = []
    async with (
        playing(script) as stage,
        client(stage, last_seq=5, on_event=lambda *event: events.append(event)) as chat,
    ):
        assert await take_seqs(chat, len(delivered)) == delivered
        assert (chat.last_seq, chat.resumes, chat.snapshots) == (head + 1, 1, 1)
    assert ("snapshot", {"last_seq": 5, "seq": head, "replaced": replaced}) in events


async def test_other_frames_go_to_on_event_and_a_bug_there_stops_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        await peer.say("typing", user_id="bob", is_typing=True)
        await peer.websocket.send("no json")
        await peer.websocket.send('{"action": "new_message"}')
        await peer.say("user_online", user_id="bob")
        await peer.messages(1)
        await peer.stay()

    actions = []

    def on_event(action: str, frame: Frame) -> None:
        actions.append(action)
        raise RuntimeError("a bug of the application")

    async with playing(script) as stage, client(stage, on_event=on_event) as chat:
        assert await take_seqs(chat, 1) == [1]
        assert chat.reconnects == 0
    assert actions == ["connected", "typing", "user_online"]


async def test_a_silent_connection_is_taken_for_dead() -> None:
    async def silent(peer: Peer) -> None:
        await peer.connected(0, heartbeat_interval=0.01)
        await peer.stay()

    async with playing(silent, one_message) as stage, client(stage) as chat:
        assert await take_seqs(chat, 1) == [1]
        assert (chat.state, chat.reconnects) == ("open", 1)


async def test_each_attempt_takes_the_next_instance() -> None:
    async with playing(one_message) as stage:
        urls = [f"http://127.0.0.1:{silent_port()}/", stage.url.replace("ws", "http")]
        async with ChatClient(urls, "general", "token", backoff=FAST) as chat:
            assert (chat.state, chat.reconnects) == ("open", 0)


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp://host"):
        ChatClient("ftp://host", "general", "token")


# ---- sending ---------------------------------------------------------------------------------------------------------


async def test_own_messages_are_at_their_place() -> None:
    """The ack overtakes a message, and a message overtakes the ack."""

    async def script(peer: Peer) -> None:
        await peer.connected(3)
        await peer.ack(await peer.hear("text"), 5)
        await peer.messages(4)
        second = await peer.hear("text")
        await peer.messages(7)
        await peer.ack(second, 6)
        await peer.stay()

    async with playing(script) as stage, client(stage, gap_grace=30) as chat:
        ack = await chat.send("mine", client_message_id="a", is_important=True)
        assert (ack.id, ack.seq, ack.client_message_id) == ("m5", 5, "a")
        await chat.send({"text": "mine too"})
        messages = await take(chat, 4)
    assert [each["seq"] for each in messages] == [4, 5, 6, 7]
    assert messages[1] == {
        "id": "m5",
        "seq": 5,
        "conversation_id": "general",
        "sender_id": "alice",
        "type": "text",
        "content": {"text": "mine"},
        "client_message_id": "a",
        "is_important": True,
        "timestamp": "2026-01-01T00:00:00+00:00",
    }
    assert messages[2]["content"] == {"text": "mine too"}


async def test_what_was_not_acked_is_sent_again_under_the_same_id() -> None:
    """Here it was stored and only the ack was lost: the replay and the second ack are one message."""
    sent: list[Frame] = []

    async def first(peer: Peer) -> None:
        await peer.connected(0)
        sent.append(await peer.hear("text"))
        sent.append(await peer.hear("text"))
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.connected(1)
        await peer.say("resumed", recovered=True, seq=1)
        await peer.messages(1)
        for seq in (1, 2):
            sent.append(await peer.hear("text"))
            await peer.ack(sent[-1], seq)
        await peer.stay()

    async with playing(first, second) as stage, client(stage) as chat:
        acks = await asyncio.gather(chat.send("one"), chat.send("two"))
        assert [ack.seq for ack in acks] == [1, 2]
        assert await take_seqs(chat, 2) == [1, 2]
        await chat.close()
        assert await rest(chat) == []
    assert sent[:2] == sent[2:]
    assert [frame["content"] for frame in sent[:2]] == ["one", "two"]


async def test_a_send_that_timed_out_can_be_repeated() -> None:
    """The id is in the error; the late ack of the first try costs nothing."""

    async def script(peer: Peer) -> None:
        await peer.connected(0)
        first = await peer.hear("text")
        second = await peer.hear("text")
        assert first == second
        await peer.ack(first, 1)
        await peer.ack(second, 1)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        with pytest.raises(SendTimeout) as caught:
            await chat.send("hello", timeout=0.02)
        ack = await chat.send("hello", client_message_id=caught.value.client_message_id)
        assert ack.seq == 1
        assert await take_seqs(chat, 1) == [1]
        await chat.close()
        assert await rest(chat) == []


async def test_the_late_ack_of_a_send_that_gave_up_shows_a_gap() -> None:
    """Its message belongs into the conversation, and this connection gets it only by a resume."""
    gave_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.connected(0)
        sent = await peer.hear("text")
        await gave_up.wait()
        await peer.ack(sent, 1)
        await peer.hear("resume")
        await peer.say("resumed", recovered=True, seq=1)
        await peer.messages(1)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        with pytest.raises(SendTimeout):
            await chat.send("hello", timeout=0.02)
        gave_up.set()
        assert await take_seqs(chat, 1) == [1]


async def test_a_refused_send_says_why() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        sent = await peer.hear("text")
        await peer.say("error", code="invalid", message="empty", client_message_id=sent["client_message_id"])
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        with pytest.raises(SendRefused, match="invalid: empty") as caught:
            await chat.send("")
        assert (caught.value.code, caught.value.retry_after) == ("invalid", None)


async def test_a_rate_limited_send_waits_and_tries_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        sent = await peer.hear("text")
        name = sent["client_message_id"]
        await peer.say("error", code="rate_limited", message="slower", client_message_id=name, retry_after=0.01)
        assert await peer.hear("text") == sent
        await peer.ack(sent, 1)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        assert (await chat.send("hello")).seq == 1


async def test_close_ends_a_send_that_waits_out_the_rate_limit() -> None:
    limited = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.connected(0)
        name = (await peer.hear("text"))["client_message_id"]
        await peer.say("error", code="rate_limited", message="slower", client_message_id=name, retry_after=3600)
        await peer.say("typing", user_id="bob", is_typing=True)
        await peer.stay()

    def on_event(action: str, frame: Frame) -> None:
        if action == "typing":
            limited.set()

    async with playing(script) as stage, client(stage, on_event=on_event) as chat:
        sending = asyncio.create_task(chat.send("hello", timeout=7200))
        async with asyncio.timeout(DEADLINE_S):
            await limited.wait()
            await chat.close()
            with pytest.raises(ClientClosed):
                await sending


async def test_an_id_that_is_on_its_way_is_not_sent_twice() -> None:
    async def script(peer: Peer) -> None:
        await peer.connected(0)
        sent = await peer.hear("text")
        await peer.hear("typing")
        await peer.ack(sent, 1)
        await peer.stay()

    async with playing(script) as stage, client(stage) as chat:
        sending = asyncio.create_task(chat.send("hello", client_message_id="a"))
        await asyncio.sleep(0)  # the task takes its first step
        with pytest.raises(ValueError, match="on its way"):
            await chat.send("hello", client_message_id="a")
        await chat.typing(True)
        assert (await sending).seq == 1


async def test_read_and_delivered_are_told_again_after_a_reconnect() -> None:
    async def first(peer: Peer) -> None:
        await peer.connected(9)
        assert (await peer.hear("read"))["seq"] == 7
        assert (await peer.hear("delivered"))["seq"] == 9
        peer.cut()

    heard: list[Frame] = []

    async def second(peer: Peer) -> None:
        await peer.connected(9)
        await peer.messages(10)
        heard.extend([await peer.hear("read"), await peer.hear("delivered"), await peer.hear("typing")])
        await peer.stay()

    async with playing(first, second) as stage, client(stage) as chat:
        await chat.read(7)
        await chat.delivered(9)
        assert await take_seqs(chat, 1) == [10]
        await chat.typing(False)  # written before the goodbye
    assert heard == [
        {"type": "read", "seq": 7},
        {"type": "delivered", "seq": 9},
        {"type": "typing", "is_typing": False},
    ]


# ---- the end ---------------------------------------------------------------------------------------------------------


async def test_close_ends_waiting_sends_and_iteration() -> None:
    async with playing(one_message) as stage:
        chat = client(stage)
        await chat.start()
        assert await take_seqs(chat, 1) == [1]
        sending = asyncio.create_task(chat.send("hello"))
        iterating = asyncio.create_task(rest(chat))
        await asyncio.sleep(0)  # both take their first step
        await chat.close()
        await chat.close()
        with pytest.raises(ClientClosed, match="1000"):
            await sending
        assert await iterating == []
        assert chat.state == "closed"
        with pytest.raises(RuntimeError):
            await chat.start()


async def test_close_while_it_connects_or_pauses_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and answers no handshake
        listener.setblocking(False)
        connecting = ChatClient(f"ws://127.0.0.1:{listener.getsockname()[1]}", "general", "token")
        pausing = ChatClient(f"ws://127.0.0.1:{silent_port()}", "general", "token", backoff=Backoff(3600, longest=3600))
        never_started = ChatClient("ws://127.0.0.1:1", "general", "token")
        starting = [asyncio.create_task(chat.start()) for chat in (connecting, pausing)]
        async with asyncio.timeout(DEADLINE_S):
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            for chat in (connecting, pausing, never_started):
                await chat.close()
                assert chat.state == "closed"
            for task in starting:
                with pytest.raises(ClientClosed):
                    await task
        accepted.close()
    assert asyncio.all_tasks() == before


async def test_a_start_without_a_server_has_a_deadline() -> None:
    with pytest.raises(TimeoutError):
        await until_started(ChatClient(f"ws://127.0.0.1:{silent_port()}", "general", "token", backoff=FAST))


async def until_started(chat: ChatClient) -> None:
    try:
        await chat.start(timeout=0.05)
    finally:
        await chat.close()


# ---- all of it at once -----------------------------------------------------------------------------------------------


class RoughServer:
    """Stores everything, and treats connections badly: loses frames, doubles them, dies before an ack."""

    def __init__(self, seed: int) -> None:
        self.stored: list[Message] = []
        self._rng = random.Random(seed)
        self._seq_by_name: dict[str, int] = {}
        self._peers: set[Peer] = set()

    async def play(self, peer: Peer) -> None:
        self._peers.add(peer)
        try:
            await peer.connected(len(self.stored))
            await self._replay(peer, int(peer.query["last_seq"]))
            while True:
                await self._take(peer, json.loads(await peer.websocket.recv()))
        finally:
            self._peers.discard(peer)

    async def ping(self) -> None:
        for peer in tuple(self._peers):
            with suppress(ConnectionClosed):
                await peer.say("ping", timestamp=1.5, seq=len(self.stored))

    async def _take(self, peer: Peer, frame: Frame) -> None:
        if frame["type"] == "resume":
            await self._replay(peer, frame["last_seq"])
        elif frame["type"] == "text":
            await self._store(peer, frame)

    async def _store(self, peer: Peer, frame: Frame) -> None:
        name = frame["client_message_id"]
        if name not in self._seq_by_name:
            self._seq_by_name[name] = len(self.stored) + 1
            self.stored.append(message(self._seq_by_name[name]) | {"client_message_id": name})
            await self._publish(peer, self.stored[-1])
        if self._rng.random() < 0.2:
            peer.cut()
        else:
            await peer.ack(frame, self._seq_by_name[name])

    async def _publish(self, origin: Peer, stored: Message) -> None:
        for peer in self._peers - {origin}:
            for _ in range(self._rng.choice([0, 1, 1, 1, 2])):
                with suppress(ConnectionClosed):
                    await peer.say("new_message", **stored)

    async def _replay(self, peer: Peer, last_seq: int) -> None:
        await peer.say("resumed", recovered=True, seq=len(self.stored))
        for stored in self.stored[last_seq:]:
            await peer.say("new_message", **stored)


@pytest.mark.parametrize("seed", range(3))
async def test_everybody_gets_everything_from_a_rough_server(seed: int) -> None:
    server = RoughServer(seed)

    async def say_much(chat: ChatClient) -> None:
        for number in range(20):
            await chat.send(f"message {number}", timeout=DEADLINE_S)

    async with (
        playing(server.play) as stage,
        client(stage, last_seq=0) as one,
        client(stage, last_seq=0) as two,
        client(stage, last_seq=0) as three,
    ):
        chats = (one, two, three)
        await asyncio.gather(*(say_much(chat) for chat in chats))
        ids = [stored["id"] for stored in server.stored]
        assert len(ids) == 60
        await server.ping()  # the last message may have been lost on the way, and no later one shows it
        for chat in chats:
            assert [each["id"] for each in await take(chat, 60)] == ids
        assert sum(chat.reconnects for chat in chats) > 0
        for chat in chats:
            await chat.close()
            assert await rest(chat) == []
