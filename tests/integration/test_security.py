"""Two real instances under what the outside can do to them: nobody else notices, and nothing is given away."""

import asyncio
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from course import Lab
from reference_impl.model.bus_messages import DirectFrame, encode_bus_message
from reference_impl.model.frames import ConversationFrame
from reference_impl.services.authentication_service import AuthenticationService

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "a secret of this test's own, thirty-two bytes and more"
PER_ADDRESS = 40
DEADLINE_S = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    settings = {"SECRET_KEY": SECRET, "MAX_CONNECTIONS_PER_IP": PER_ADDRESS, "LOG_FORMAT": "json"}
    async with Lab(instances=2, settings=settings) as started:
        await started.conversation("general", "ann", "bob")
        await started.conversation("apart", "cleo")
        yield started


async def opened(lab: Lab, user: str = "ann", *, instance: int = 0, origin: str | None = None) -> ClientConnection:
    """A socket of the plain library, so that a test can send anything."""
    conversation = await lab.conversation("general", "ann")
    protocols = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{await lab.token(user)}")]
    page = None if origin is None else Origin(origin)
    url = lab.ws_url(instance, conversation)
    return await connect(url, subprotocols=protocols, origin=page, proxy=None, compression=None, ping_interval=None)


async def frames_until_closed(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    async with asyncio.timeout(DEADLINE_S):
        frames = [json.loads(frame) async for frame in until_closed(socket)]
    return frames, socket.close_code


async def until_closed(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def sent_as_far_as_it_goes(socket: ClientConnection, *messages: Any) -> None:
    """The server may end it in the middle. Bytes are sent as a text frame."""
    with suppress(ConnectionClosed):
        for message in messages:
            await socket.send(message, text=True if isinstance(message, bytes) else None)


async def metric(lab: Lab, name: str, instance: int = 0) -> float:
    async with httpx2.AsyncClient(trust_env=False) as http:
        lines = (await http.get(lab.url(instance) + "/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


async def raw(lab: Lab, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection on which this was sent."""
    where = urlsplit(lab.url(0))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(data)
    return reader, writer


async def answer_until_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_page_from_elsewhere_is_told_4003(lab: Lab) -> None:
    """Our own pages and those of the other instance come in; every look-alike is turned away, by a code it can read."""
    own, other = lab.url(0), lab.url(1)
    for origin in (own, other, own.replace("127.0.0.1", "localhost"), None):
        socket = await opened(lab, origin=origin)
        if origin and "localhost" in origin:
            assert (await frames_until_closed(socket))[1] == 4003, "it is not the name this socket was opened under"
            continue
        assert json.loads(await socket.recv())["action"] == "connected"
        await socket.close()
    for origin in ("null", own + "0", own.replace("http", "https"), own.replace("127.0.0.1", "127.0.0.1.evil.example")):
        assert (await frames_until_closed(await opened(lab, origin=origin)))[1] == 4003


async def test_a_silent_crowd_is_bounded_counted_and_gone_in_five_seconds(lab: Lab) -> None:
    """So are requests whose headers never end. Meanwhile a neighbour is served. Nobody is trusted here to say from
    where somebody comes: an address of each one's own invention helps none of them."""
    before = await metric(lab, "chat_sockets_nameless_total")
    url = lab.ws_url(0, await lab.conversation("general", "ann"))
    slow = [await raw(lab, b"GET /healthz HTTP/1.1\r\nX-Slow: ") for _ in range(3)]
    invented = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(PER_ADDRESS + 5)]
    silent = await asyncio.gather(*(connect(url, additional_headers=header, proxy=None) for header in invented))
    assert await metric(lab, "chat_sockets_waiting") == PER_ADDRESS
    neighbour = await lab.client("bob")
    await neighbour.send("still served")
    codes = Counter([(await frames_until_closed(socket))[1] for socket in silent])
    assert codes == {4001: PER_ADDRESS, 4008: 5}
    assert await metric(lab, "chat_sockets_nameless_total") - before == PER_ADDRESS
    assert [await answer_until_closed(reader) for reader, _ in slow] == [b"", b"", b""]
    for _, writer in slow:
        writer.close()
    assert await metric(lab, "chat_sockets_stalled_total") >= 3
    await neighbour.close()


def endless_headers() -> bytes:
    return b"GET /healthz HTTP/1.1\r\n" + b"X-Much: " + b"x" * 100_000


def bad_handshake() -> bytes:
    lines = ["GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: upgrade", "X-Long: " + "x" * 20_000]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("sent", [endless_headers(), bad_handshake(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"])
async def test_what_is_no_request_is_ended(lab: Lab, sent: bytes) -> None:
    """With 400 where there is somebody to read it; nothing hangs, and nothing is said about the inside."""
    reader, writer = await raw(lab, sent)
    answer = await answer_until_closed(reader)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert b"Traceback" not in answer
    writer.close()


async def test_a_frame_that_is_too_large_ends_with_1009(lab: Lab) -> None:
    """In one piece, in many, or in pieces of nothing without an end."""

    def pieces(count: int, size: int) -> Iterator[str]:
        for _ in range(count):
            yield "x" * size

    for message in ("x" * 70_000, pieces(20, 5_000), pieces(5_000, 0)):
        socket = await opened(lab)
        await sent_as_far_as_it_goes(socket, message)
        assert (await frames_until_closed(socket))[1] == 1009


async def test_what_can_not_be_read_is_answered_ten_times(lab: Lab) -> None:
    """An ``error`` each, then 1008. Text that is none ends at once, as the standard says."""
    bad: list[str | bytes] = [
        b"\x00",
        "nonsense",
        "[]",
        "{}",
        '{"type":"no"}',
        "[" * 30_000,
        '{"type":"text","content":NaN}',
    ]
    bad += ['{"type":"read","seq":' + "9" * 5_000 + "}", '{"type":"text","content":"\\ud800"}', '{"type":7}']
    socket = await opened(lab)
    for frame in bad:
        await socket.send(frame)
    frames, code = await frames_until_closed(socket)
    assert [frame["action"] for frame in frames if frame["action"] in ("error", "ack")] == ["error"] * 10
    assert code == 1008
    socket = await opened(lab)
    await socket.send(b"\xff\xfe", text=True)
    assert (await frames_until_closed(socket))[1] == 1007


async def test_a_stranger_gets_nowhere_with_any_frame(lab: Lab) -> None:
    """On a socket for all of one's own conversations each frame can name any: those of others, and what is not there,
    are one and the same."""
    theirs = await lab.conversation("apart", "cleo")
    fields: dict[str, dict[str, Any]] = {
        "text": {"content": "hello"},
        "typing": {"is_typing": True},
        "resume": {"last_seq": 0},
    }
    fields |= {"read": {"seq": 1}, "delivered": {"seq": 1}}
    names = {frame.__struct_config__.tag for frame in get_args(ConversationFrame)}
    assert names == fields.keys(), "a new frame has to be tried, too"
    mallory = await lab.client("mallory", conversation=None)
    for name in sorted(names):
        said = []
        for conversation in (theirs, "01a20a2e-0000-7000-8000-000000000000"):
            await mallory.send_frame({"type": name, "conversation_id": conversation, **fields[name]})
            said.append((await mallory.expect("error"))["data"])
        assert said[0] == said[1], name
        assert said[0]["code"] == "forbidden"
    await mallory.close()


async def test_sender_number_and_time_are_the_servers(lab: Lab) -> None:
    """Whatever a frame says about them."""
    ann, bob = await lab.client("ann"), await lab.client("bob", instance=1)
    lies = {"sender_id": "bob", "sender_name": "Bob", "seq": 9000, "timestamp": "1999-01-01T00:00:00Z", "id": "mine"}
    await ann.send_frame({"type": "text", "content": "true", **lies})
    data = (await bob.expect("new_message", text="true"))["data"]
    assert (data["sender_id"], data["sender_type"]) == ("ann", "user")
    assert data["seq"] < 9000
    assert datetime.fromisoformat(data["timestamp"]).year >= 2024
    assert data["id"] != "mine"
    await ann.close()
    await bob.close()


async def test_a_forged_bus_message_reaches_nobody(lab: Lab) -> None:
    """Whoever can write to Redis can disturb, but not speak."""
    bob = await lab.client("bob")
    before = await metric(lab, "chat_bus_forged_total")
    lie = b'{"action":"new_message","data":{"content":{"text":"forged"}},"conversation_id":null,"timestamp":""}'
    payload = encode_bus_message(DirectFrame(instance_id="instance-1", target_user_id="bob", frame=lie))
    async with Redis.from_url(lab.redis.url) as redis:
        assert await redis.publish(lab.key_prefix + "ws:broadcast", payload) == 2
    async with asyncio.timeout(DEADLINE_S):
        while await metric(lab, "chat_bus_forged_total") == before:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)
    await bob.send("after it")
    await bob.expect_nothing("new_message", text="forged")
    await bob.close()


async def test_pings_without_end_cost_no_memory(lab: Lab) -> None:
    """From somebody who never reads the pongs."""
    process = psutil.Process(lab.pid(0))
    socket = await opened(lab)
    before = process.memory_info().rss
    socket.transport.pause_reading()
    ping = b"\x89\xfd" + struct.pack("!I", 0) + b"p" * 125
    for _ in range(200):
        socket.transport.write(ping * 1000)
        async with asyncio.timeout(DEADLINE_S):
            while socket.transport.get_write_buffer_size() > 1_000_000:  # noqa: ASYNC110 - a transport tells nobody
                await asyncio.sleep(0.005)
    neighbour = await lab.client("bob")
    await neighbour.send("still served")
    assert process.memory_info().rss - before < 20_000_000
    socket.transport.abort()
    await neighbour.close()


async def test_nothing_secret_is_in_any_log(lab: Lab) -> None:
    """A run with everything in it, good and bad, at both doors; then its two logs are read for what was in it."""
    service = AuthenticationService(secret_key=SECRET, clock=lambda: datetime.now(UTC))
    token, expired = service.issue_token("ann")[0], service.issue_token("ann", ttl_s=-1)[0]
    conversation = await lab.conversation("general", "ann")
    secrets = [token, expired, "canary"]
    async with httpx2.AsyncClient(base_url=lab.url(0), trust_env=False) as http:
        good = {"Authorization": f"Bearer {token}"}
        secrets.append(ticket := (await http.post("/api/v1/auth/ticket", headers=good)).json()["ticket"])
        path = f"/api/v1/conversations/{conversation}/messages"
        for body in ('{"type":"text","content":"canary"}', '{"content":{"canary":1},"type":"media"}', '{"canary', "{}"):
            for headers in (good, {"Authorization": f"Bearer {expired}"}, {"Authorization": "Basic canary"}):
                await http.post(path, content=body, headers=headers | {"Content-Type": "application/json"})
        await http.get(f"/api/v1/presence?user_ids=ann&token={token}&canary=1")
        await http.get("/nowhere?token=canary")
    frames: list[str | bytes] = [
        '{"type":"text","content":"canary"}',
        '{"type":"text","content":{"canary":"canary"},"client_message_id":7}',
        'canary{"',
        json.dumps({"type": "auth", "token": expired}),
        b"canary\xff",
    ]
    queries = [f"token={token}", f"token={expired}", f"ticket={ticket}", f"ticket={ticket}", "token=canary&last_seq=x"]
    for query in queries:
        for instance in (0, 1):
            async with connect(f"{lab.ws_url(instance, conversation)}?{query}", proxy=None) as socket:
                await sent_as_far_as_it_goes(socket, *frames)
                async with asyncio.timeout(DEADLINE_S):
                    await socket.wait_closed()
    written = [lab.log(number, 100_000) for number in (0, 1)]
    for log in written:
        assert all(json.loads(line) for line in log.splitlines())
        assert "/ws/" in log
        for secret in [*secrets, token.rpartition(".")[2], SECRET, "ticket=", "token="]:
            assert secret not in log
        assert [line for line in log.splitlines() if "Traceback" in line] == []
