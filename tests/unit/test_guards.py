"""The server's two protocols, with a transport that a test plays."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.protocol import OPEN

from reference_impl.api.direct_socket import EXTENSION, Wire
from reference_impl.core.socket_bounds import SocketBounds
from reference_impl.direct_websocket import DirectWebSocket
from reference_impl.guards import MAX_FRAGMENTS, GuardedHttp, GuardedWebSocket, guarded_by
from reference_impl.model.envelope import EncodedFrame
from tests.fakes import until

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)


class PlayedTransport(asyncio.Transport):
    """Notes what is written; ``waiting`` is what the peer has not read."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self.written = b""
        self.waiting = 0
        self.is_aborted = self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def an_app(scope: Any, receive: Any, send: Any) -> None:
    """Takes every WebSocket, and waits for ever."""
    await send({"type": "websocket.accept"})
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def an_app_that_hands_over(scope: Any, receive: Any, send: Any) -> None:
    """Takes every WebSocket, and its wire: what it says goes into ``said``."""
    await receive()
    await send({"type": "websocket.accept"})
    wire: Wire = scope["extensions"][EXTENSION]
    wire.hand_over(said.append)


said: list[dict[str, Any]] = []

WAYS = {GuardedWebSocket: an_app, DirectWebSocket: an_app_that_hands_over}


@pytest.fixture(params=WAYS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    """Both ways to speak WebSocket: what is said of one has to be true for the other."""
    said.clear()
    return request.param


def protocol(kind: Any, bounds: SocketBounds, app: Any = an_app) -> tuple[Any, PlayedTransport]:
    config = uvicorn.Config(app, log_config=None, ws_per_message_deflate=False, lifespan="off")
    made: Any = guarded_by(bounds, kind)(config, ServerState(), {})
    transport = PlayedTransport()
    made.connection_made(transport)
    return made, transport


@pytest.fixture
def bounds() -> SocketBounds:
    return SocketBounds(max_connections=10, max_per_address=10)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """All deadlines are a moment."""
    for name in ("HEAD_DEADLINE_S", "LOOK_S", "LINGER_S"):
        monkeypatch.setattr(f"reference_impl.guards.{name}", 0.02)
    monkeypatch.setattr("reference_impl.direct_websocket.GIVE_UP_S", 0.02)


async def test_headers_that_do_not_come_are_not_waited_for(bounds: SocketBounds) -> None:
    """Not a word, or a word at a time; also before a second request on the same connection."""
    http, transport = protocol(GuardedHttp, bounds)
    http.data_received(b"GET / HT")
    await until(lambda: transport.is_aborted)
    assert bounds.stalled == 1
    http.connection_lost(None)


async def test_who_does_not_read_an_answer_is_dropped(bounds: SocketBounds) -> None:
    """Who reads slowly is not, as long as they do."""
    http, transport = protocol(GuardedHttp, bounds)
    assert isinstance(http, GuardedHttp)
    http.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    transport.waiting = 1_000_000
    http.pause_writing()
    for _ in range(3):
        transport.waiting -= 100_000
        await asyncio.sleep(0.02)  # the deadline's own time has to pass: no condition to wait for
    assert not transport.is_aborted
    await until(lambda: transport.is_aborted)
    http.connection_lost(None)


async def test_one_socket_too_many_is_ended(bounds: SocketBounds) -> None:
    """As it comes; counted."""
    bounds.most = 0
    http, transport = protocol(GuardedHttp, bounds)
    assert transport.is_aborted
    assert bounds.refused == 1
    http.connection_lost(None)
    assert bounds.present == 0


async def test_a_handshake_that_is_none_is_answered(bounds: SocketBounds, kind: Any) -> None:
    """The library says nothing to one that it can not parse."""
    bounds.come("192.0.2.1")
    socket, transport = protocol(kind, bounds)
    socket.data_received(HANDSHAKE.replace(b"host: x", b"host: " + b"x" * 20_000))
    assert transport.written.startswith(b"HTTP/1.1 400")
    await until(lambda: transport.is_aborted)
    socket.connection_lost(None)


async def opened(bounds: SocketBounds, kind: Any) -> tuple[Any, PlayedTransport]:
    bounds.come("192.0.2.1")  # as a request, which it was at first
    socket, transport = protocol(kind, bounds, WAYS[kind])
    socket.data_received(HANDSHAKE)
    await until(lambda: socket.conn.state is OPEN)
    await asyncio.sleep(0)  # the app has its turn
    transport.written = b""
    return socket, transport


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        (b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * (MAX_FRAGMENTS + 5), 1009),
        (b"\x83\x80\0\0\0\0", 1002),
    ],
)
async def test_what_is_no_message_ends_it_with_a_reason(
    bounds: SocketBounds, kind: Any, sent: bytes, code: int
) -> None:
    """What comes behind it is read and thrown away for a moment, so that the reason arrives; then it ends."""
    socket, transport = await opened(bounds, kind)
    socket.data_received(sent)
    said = transport.written
    assert said[:1] == b"\x88"
    assert int.from_bytes(said[2:4]) == code
    socket.data_received(b"\x89\x80\0\0\0\0" * 3 + b"more" * 1000)
    assert transport.written == said
    assert not transport.is_closed
    await until(lambda: transport.is_closed)
    socket.connection_lost(None)
    await end(socket)


async def test_pongs_do_not_pile_up(bounds: SocketBounds, kind: Any) -> None:
    """A peer that does not read gets none."""
    socket, transport = await opened(bounds, kind)
    socket.data_received(b"\x89\x80\0\0\0\0")
    assert transport.written == b"\x8a\x00"
    socket.pause_writing()
    socket.data_received(b"\x89\x80\0\0\0\0" * 100)
    assert transport.written == b"\x8a\x00"
    socket.resume_writing()
    socket.data_received(b"\x89\x80\0\0\0\0")
    assert transport.written == b"\x8a\x00" * 2
    socket.connection_lost(None)
    await end(socket)


async def test_several_things_wrong_at_once_are_one(bounds: SocketBounds, kind: Any) -> None:
    """What comes in the same piece behind the first does not end in an error of ours; a goodbye among it counts."""
    bad, ping, goodbye = b"\x81\x82\0\0\0\0\xff\xfe", b"\x89\x80\0\0\0\0", b"\x88\x80\0\0\0\0"
    for piece in (bad * 2 + ping, bad + ping + goodbye):
        socket, transport = await opened(bounds, kind)
        socket.data_received(piece)
        assert transport.written.count(b"\x88") == 1
        await until(lambda: transport.is_closed)  # noqa: B023 - it is awaited here
        socket.connection_lost(None)
        await end(socket)


async def test_who_says_goodbye_and_stays_has_to_go(bounds: SocketBounds, kind: Any) -> None:
    """The network waits until the peer has read what was written before, and it does not read."""
    socket, transport = await opened(bounds, kind)
    socket.pause_writing()
    socket.data_received(masked(8, b""))
    assert transport.is_closed
    await until(lambda: transport.is_aborted)
    assert bounds.stalled == 1
    socket.connection_lost(None)
    await end(socket)


async def test_a_server_can_stop_while_somebody_is_going(bounds: SocketBounds, kind: Any) -> None:
    """Their goodbye is said; that ours can not be sent any more stops nothing."""
    socket, transport = await opened(bounds, kind)
    socket.data_received(masked(8, b""))
    written = transport.written
    socket.shutdown()
    assert transport.written == written
    socket.connection_lost(None)
    await end(socket)


async def end(socket: GuardedWebSocket) -> None:
    for task in tuple(socket.tasks):
        task.cancel()
        await asyncio.wait([task])


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return bytes((0x80 * fin | opcode, 0x80 | len(payload))) + bytes(4) + payload


async def taken(bounds: SocketBounds) -> tuple[DirectWebSocket, PlayedTransport]:
    """A socket that its app has taken over."""
    said.clear()
    socket, transport = await opened(bounds, DirectWebSocket)
    socket.on_change = lambda: said.append({"type": "changed"})
    return socket, transport


async def test_a_wire_passes_on_what_the_peer_says(bounds: SocketBounds) -> None:
    """Whole messages, put together from their fragments, control frames answered in between; and then its goodbye."""
    socket, transport = await taken(bounds)
    socket.data_received(masked(1, b"he", fin=False) + masked(9, b"?") + masked(0, b"llo"))
    socket.data_received(masked(2, b"\x00") + masked(1, "ü".encode()))
    assert said == [
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.receive", "bytes": b"\x00"},
        {"type": "websocket.receive", "text": "ü"},
    ]
    assert transport.written == b"\x8a\x01?"
    socket.data_received(masked(8, (1001).to_bytes(2) + b"bye"))
    assert said[3:] == [{"type": "websocket.disconnect", "code": 1001, "reason": "bye"}]
    assert socket.is_closed
    assert not socket.is_writable
    with pytest.raises(OSError, match="gone"):
        socket.write([EncodedFrame(b"x")])
    socket.connection_lost(None)
    assert not socket.tasks


async def test_a_wire_says_when_its_peer_reads_again(bounds: SocketBounds) -> None:
    """Until then it is not writable, so nobody can fill the memory behind it."""
    socket, transport = await taken(bounds)
    socket.write([EncodedFrame(b"a")])
    assert transport.written == b"\x81\x01a"
    states = [socket.is_writable]
    for change in (socket.pause_writing, socket.resume_writing):
        change()
        states.append(socket.is_writable)
    assert states == [True, False, True]
    assert said == [{"type": "changed"}]
    socket.connection_lost(None)


async def test_a_wire_that_is_closed_waits_for_the_peers_answer(bounds: SocketBounds) -> None:
    """Then it ends; without one, after a while. What the peer said meanwhile goes nowhere. A second close is none."""
    for answers in (True, False):
        socket, transport = await taken(bounds)
        socket.close(1013, "too slow: resume")
        socket.close(1011, "another")
        assert transport.written == b"\x88\x12" + (1013).to_bytes(2) + b"too slow: resume"
        assert (socket.is_closed, said) == (True, [{"type": "changed"}])
        assert not transport.is_closed
        socket.data_received(masked(1, b"not heard any more"))
        if answers:
            socket.data_received(masked(8, (1013).to_bytes(2)))
            assert transport.is_closed
        else:
            await until(lambda: transport.is_aborted)  # noqa: B023 - it is awaited here
        socket.connection_lost(None)
        assert not [event for event in said if event["type"] == "websocket.receive"]


async def test_a_server_that_stops_tells_the_wire(bounds: SocketBounds) -> None:
    """As uvicorn tells its queue."""
    socket, transport = await taken(bounds)
    socket.shutdown()
    assert said[0]["code"] == 1012
    assert transport.is_closed
    socket.connection_lost(None)
