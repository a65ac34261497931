"""The wire to Redis: what its holders may rely on, whatever the network and the other side do."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import InvalidResponse, MovedError, ResponseError
from uuid_utils import uuid7

from reference_impl.adapters import redis_wire
from reference_impl.adapters.redis_client import redis_client
from reference_impl.adapters.redis_publisher import RedisPublisher
from reference_impl.adapters.redis_wire import RedisWire
from tests.fakes import until
from tests.redis_stand_in import CERTIFICATE, stand_in

DEADLINE_S = 5

OK = b"+OK\r\n"


@asynccontextmanager
async def wire_to(url: str, on_push: Callable[[Any], None] | None = None) -> AsyncIterator[RedisWire]:
    """A wire that is closed at the end, and nothing of it is left."""
    wire = RedisWire(redis_client(url), on_push)
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield wire
    finally:
        await wire.close()


class Recorded:
    """A transport that notes what is written."""

    def __init__(self, transport: asyncio.Transport, pieces: list[bytes]) -> None:
        self.abort = transport.abort
        self._transport = transport
        self._pieces = pieces

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._transport.write(data)


def echo(command: list[bytes]) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(command[-1]), command[-1])


async def test_each_gets_its_own_answer(redis_url: str) -> None:
    """A thousand commands at once, the first said before the connection is there: each one's answer is its own."""
    async with wire_to(redis_url) as wire:
        for _ in range(2):
            answers = await asyncio.gather(*(wire.ask("ECHO", str(number)) for number in range(1000)))
            assert answers == [str(number).encode() for number in range(1000)]


async def test_what_is_said_in_one_turn_goes_out_in_one_piece(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight commands are one write; the next turn's are another."""
    pieces = list[bytes]()
    async with wire_to(redis_url) as wire:
        await wire.ask("PING")
        transport = wire._transport
        assert transport is not None
        wrapped = Recorded(transport, pieces)
        monkeypatch.setattr(wire, "_transport", wrapped)
        for _ in range(2):
            await asyncio.gather(*(wire.ask("ECHO", str(number)) for number in range(8)))
    assert [piece.count(b"ECHO") for piece in pieces] == [8, 8]


async def test_an_error_is_for_who_asked(redis_url: str) -> None:
    """An answer that is an error is raised where it belongs; the commands around it have their answers."""
    async with wire_to(redis_url) as wire:
        before, wrong, after = wire.ask("PING"), wire.ask("NO-SUCH-COMMAND"), wire.ask("PING")
        assert await before == b"PONG"
        with pytest.raises(ResponseError, match="unknown command"):
            await wrong
        assert await after == b"PONG"


async def test_who_does_not_wait_shifts_nothing(redis_url: str) -> None:
    """Somebody is cancelled while they wait: the next still gets the answer to their own question."""
    async with wire_to(redis_url) as wire:
        wire.ask("ECHO", "first").cancel()
        assert await wire.ask("ECHO", "second") == b"second"


async def test_answers_in_pieces() -> None:
    """Wherever the network cuts what Redis says in two, or in single bytes: the same answers and pushes."""
    said = (
        b"$5\r\nhello\r\n"
        + b":42\r\n"
        + b"-MOVED 7 10.0.0.1:99\r\n"
        + b"*3\r\n$7\r\nmessage\r\n$1\r\nr\r\n$3\r\n\r\nx\r\n"
    )
    ways = [[said[:cut], said[cut:]] for cut in range(len(said))] + [[bytes([byte]) for byte in said]]
    async with stand_in() as server:
        for pieces in ways:
            pushed: list[Any] = []
            async with wire_to(server.url, pushed.append) as wire:
                text, number, moved = wire.ask("GET", "a"), wire.ask("INCR", "b"), wire.ask("GET", "c")
                for piece in pieces:
                    wire.data_received(piece)
                assert (await text, await number) == (b"hello", 42)
                with pytest.raises(MovedError) as where:
                    await moved
                assert (where.value.host, int(where.value.port)) == ("10.0.0.1", 99)
                assert pushed == [[b"message", b"r", b"\r\nx"]]


async def test_one_answer_that_hangs_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answers some and then no more: who waits is told within the time, who comes later at once."""
    monkeypatch.setattr(redis_wire, "TIMEOUT_S", 0.1)
    async with stand_in(lambda command: OK if command == [b"PING"] else None) as server, wire_to(server.url) as wire:
        assert await wire.ask("PING") == b"OK"
        hanging = [wire.ask("GET", "a"), wire.ask("GET", "b")]
        for answer in (*hanging, wire.lost):
            await asyncio.wait([answer])
        assert isinstance(wire.lost.result(), TimeoutError)
        for answer in (*hanging, wire.ask("PING")):
            with pytest.raises(TimeoutError, match="no answer within"):
                await answer


async def test_nobody_is_there() -> None:
    """A port where nothing listens: whoever has asked is told."""
    async with stand_in() as server:
        url = server.url
    async with wire_to(url) as wire:
        with pytest.raises(ConnectionRefusedError):
            await wire.ask("PING")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", InvalidResponse),
        (b"+OK\r\n+an answer to nothing\r\n", InvalidResponse),
        (b"$1000\r\nhalf of an ans", ConnectionResetError),
    ],
)
async def test_nonsense_ends_it(said: bytes, reason: type[Exception]) -> None:
    """What is no answer, is one too many, or breaks off in the middle, ends the connection: who waits is told why."""
    async with stand_in(lambda _command: said) as server, wire_to(server.url) as wire:
        answers = [wire.ask("PING")] if said.startswith(b"+OK") else [wire.ask("PING"), wire.ask("PING")]
        await until(lambda: bool(server.said))
        if reason is ConnectionResetError:
            server.cut()
        await asyncio.wait([wire.lost])
        assert isinstance(wire.lost.result(), reason)
        for answer in answers:
            assert isinstance(answer.exception(), reason) or answer.result() == b"OK"


async def test_a_push_that_can_not_be_taken_ends_it() -> None:
    """The one who takes pushes fails: the wire is lost with that very error, since it would have lost the push."""

    def fail(_item: Any) -> None:
        raise LookupError("not like this")

    async with stand_in(lambda _command: b"*1\r\n:1\r\n") as server, wire_to(server.url, fail) as wire:
        wire.tell("SUBSCRIBE", "room")
        assert isinstance(await wire.lost, LookupError)


async def test_a_server_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not take waits here, bounded in number; when it reads again all of it goes out, in order."""
    monkeypatch.setattr(redis_wire, "MOST_UNANSWERED", 300)
    padding = "x" * 65536
    async with stand_in(echo) as server, wire_to(server.url) as wire:
        await wire.ask("ECHO", "it is connected")
        server.may_read.clear()
        answers = [wire.ask("SET", padding, str(number)) for number in range(300)]
        with pytest.raises(BlockingIOError):
            await wire.ask("SET", padding, "one too many")
        server.may_read.set()
        assert await asyncio.gather(*answers) == [str(number).encode() for number in range(300)]
        assert [int(command[2]) for command in server.said[1:]] == list(range(300))
        assert await wire.ask("ECHO", "all is well") == b"all is well"


async def test_signs_in_as_the_url_says(redis_url: str) -> None:
    """User, password and the connection's name come from the URL; with a wrong password who asks is told."""
    user = f"test-{uuid7().hex}"
    to = redis_url.replace("redis://", "redis://{}@") + "?client_name={}"
    async with wire_to(redis_url) as operator:
        await operator.ask("ACL", "SETUSER", user, "on", ">p@ss", "+@all", "&*", "~*")
        async with wire_to(to.format(f"{user}:p%40ss", "from-a-test")) as wire:
            assert await wire.ask("ACL", "WHOAMI") == user.encode()
            assert await wire.ask("CLIENT", "GETNAME") == b"from-a-test"
        async with wire_to(to.format(f"{user}:wrong", "x")) as wire:
            with pytest.raises(ResponseError, match="WRONGPASS"):
                await wire.ask("PING")
        await operator.ask("ACL", "DELUSER", user)


async def test_tls() -> None:
    """``rediss://`` with an authority of one's own; a certificate that nobody vouches for is refused."""
    async with stand_in(echo, tls=True) as server:
        async with wire_to(f"{server.url}?ssl_ca_certs={CERTIFICATE}") as wire:
            assert await wire.ask("ECHO", "x" * 100_000) == b"x" * 100_000
        async with wire_to(server.url) as wire:
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                await wire.ask("ECHO", "hello")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such sockets")
async def test_unix_socket(tmp_path: Path) -> None:
    """``unix://`` leads to a socket in the file system."""
    async with stand_in(echo, path=tmp_path / "redis") as server, wire_to(server.url) as wire:
        assert await wire.ask("ECHO", "hello") == b"hello"


async def test_closing() -> None:
    """Who waits is told; closing twice is no error, nor is it before the connection is there."""
    async with stand_in() as server:
        for wait_for_it in (True, False):
            wire = RedisWire(redis_client(server.url))
            answer = wire.ask("PING")
            if wait_for_it:
                await until(lambda: bool(server.said))
            await wire.close()
            await wire.close()
            with pytest.raises(ConnectionAbortedError):
                await answer


async def test_a_publisher_comes_back() -> None:
    """After a cut the next command makes a new connection, and the order is kept."""
    async with stand_in(echo) as server:
        publisher = RedisPublisher(redis_client(server.url))
        for round_ in range(3):
            texts = [f"{round_} {number}" for number in range(10)]
            answers = await asyncio.gather(*(publisher.ask("ECHO", text) for text in texts))
            assert [answer.decode() for answer in answers] == texts
            server.cut()
            await until(lambda: not server.connections)
        assert len(server.said) == 30
        await publisher.stop()
        await publisher.stop()
