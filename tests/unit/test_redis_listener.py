"""The listener: what it does when Redis goes, hangs, or takes a channel away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reference_impl.adapters import redis_listener
from reference_impl.adapters.redis_client import redis_client
from reference_impl.adapters.redis_listener import RedisListener
from tests.fakes import until
from tests.redis_stand_in import StandIn, stand_in


class Heard:
    """What a listener has reported."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.gaps = 0
        self.losses = 0

    def on_message(self, channel: str, payload: bytes) -> None:
        self.messages.append((channel, payload))
        if payload == b"bad":
            raise LookupError("a handler's fault")

    def on_gap(self) -> None:
        self.gaps += 1

    def on_loss(self) -> None:
        self.losses += 1


@asynccontextmanager
async def listening(server: StandIn, *, sharded: bool = False) -> AsyncIterator[tuple[RedisListener, Heard]]:
    """A listener that is up, and gone at the end."""
    heard = Heard()
    listener = RedisListener(
        redis_client(server.url),
        own_channel="own",
        on_message=heard.on_message,
        on_gap=heard.on_gap,
        on_lost=heard.on_loss,
        sharded=sharded,
    )
    listener.start()
    try:
        await until(lambda: listener.is_live)
        yield listener, heard
    finally:
        await listener.stop()


def confirm(command: list[bytes]) -> bytes | None:
    """As Redis does, on a connection that listens."""
    kind = command[0].lower()
    if kind == b"ping":
        return push(b"pong", b"")
    return b"".join(push(kind, channel, 1) for channel in command[1:])


def push(*parts: bytes | int) -> bytes:
    def packed(part: bytes | int) -> bytes:
        return b":%d\r\n" % part if isinstance(part, int) else b"$%d\r\n%b\r\n" % (len(part), part)

    return b"*%d\r\n" % len(parts) + b"".join(map(packed, parts))


async def test_the_gap_is_reported_when_all_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a cut: one report, not before every channel that is wanted is confirmed, one that came meanwhile too."""
    monkeypatch.setattr(redis_listener, "SUBSCRIBE_DEADLINE_S", 0.01)
    held_back: list[bytes] = []

    def slowly(command: list[bytes]) -> bytes | None:
        if server.said.count([b"SUBSCRIBE", b"own"]) > 1 and command[1:] != [b"own"]:
            held_back.append(confirm(command) or b"")
            return None
        return confirm(command)

    async with stand_in(confirm) as server, listening(server) as (listener, heard):
        assert await listener.subscribe("hall")
        server.reply = slowly
        server.cut()
        await until(lambda: bool(heard.losses) and not listener.is_live)
        assert not await listener.subscribe("room")
        await until(lambda: bool(held_back))
        assert (listener.is_live, heard.gaps) == (False, 0)
        server.reply = confirm
        for answer in held_back:
            server.send(answer)
        await until(lambda: listener.is_live)
        assert (heard.gaps, heard.losses, listener.reconnects) == (1, 1, 1)
        server.send(push(b"message", b"room", b"hello") + push(b"message", b"not ours", b"hello"))
        await until(lambda: bool(heard.messages))
        assert heard.messages == [("room", b"hello")]


async def test_silence_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is open, and over which nothing comes though it is asked for a sign of life, is given up."""
    monkeypatch.setattr(redis_listener, "PING_S", 0.05)
    async with stand_in(confirm) as server, listening(server) as (listener, heard):
        await until(lambda: server.said.count([b"PING"]) > 3)
        assert heard.losses == 0, "it answers"
        server.reply = lambda _command: None
        await until(lambda: heard.losses > 0)
        server.reply = confirm
        await until(lambda: listener.is_live and heard.gaps == 1)


async def test_a_failing_handler_is_a_loss(caplog: pytest.LogCaptureFixture) -> None:
    """What a handler could not take is lost: it is logged with its traceback, and a gap is reported."""
    async with stand_in(confirm) as server, listening(server) as (listener, heard):
        assert await listener.subscribe("room")
        server.send(push(b"message", b"room", b"bad"))
        await until(lambda: listener.is_live and heard.gaps == 1)
        assert "a handler's fault" in caplog.text


async def test_a_channel_that_is_taken_away() -> None:
    """Its slot has moved: that is reported, and until it is found again the listener is not live."""
    async with stand_in(confirm) as server, listening(server, sharded=True) as (listener, heard):
        assert await listener.subscribe("room")
        server.send(push(b"sunsubscribe", b"room", 0))
        await until(lambda: heard.losses == 1)
        assert not listener.is_live
        await listener.unsubscribe("room")
        assert listener.is_live


async def test_a_refused_subscription_is_a_loss() -> None:
    """A cluster's node that does not own the channel says so: the owner is looked up again."""
    async with stand_in(confirm) as server, listening(server, sharded=True) as (listener, heard):
        server.reply = lambda command: b"-MOVED 1 127.0.0.1:1\r\n" if command[0] == b"SSUBSCRIBE" else confirm(command)
        asking = asyncio.create_task(listener.subscribe("room"))
        await until(lambda: heard.losses == 1)
        await listener.unsubscribe("room")
        assert not await asking
        await until(lambda: listener.is_live)
