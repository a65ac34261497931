"""The heartbeat: who is pinged when, who is given up, and what it costs."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.heartbeat_manager import SLICES, HeartbeatManager
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.heartbeat_policy import HeartbeatPolicy
from tests.fakes import FakeTransport, connection_manager, until

PING = EncodedFrame(b'{"action":"ping"}')


class Pinged:
    """A manager of a few connections, its heartbeat, and whom it pinged."""

    def __init__(self, interval_s: float = 30, timeout_s: float = 90) -> None:
        self.connections: ConnectionManager = connection_manager(
            max_connections=10_000, max_connections_per_user=10_000
        )
        self.pings: Counter[str] = Counter()
        self.heartbeat = HeartbeatManager(
            self.connections, HeartbeatPolicy(interval_s, timeout_s), make_ping=self.make_ping
        )

    def make_ping(self, connection: Connection) -> EncodedFrame:
        self.pings[connection.connection_id] += 1
        return PING

    async def open(self) -> Connection:
        """A connection that was heard and pinged at second 0."""
        connection_id = await self.connections.connect("alice", FakeTransport())
        connection = self.connections.connections_by_id[connection_id]
        connection.last_heard = connection.last_pinged = 0.0
        return connection


@pytest.fixture
async def make_pinged() -> AsyncIterator[Callable[..., Pinged]]:
    made: list[Pinged] = []

    def make(**policy: float) -> Pinged:
        made.append(Pinged(**policy))
        return made[-1]

    yield make
    for one in made:
        await one.heartbeat.stop()
        for connection in one.connections.index:
            await one.connections.disconnect(connection.connection_id)


async def test_pinged_every_interval(make_pinged: Callable[..., Pinged]) -> None:
    """Not before its time, once when it is due, and again an interval later."""
    pinged = make_pinged()
    connection = await pinged.open()
    for now, pings in ((29.9, 0), (30, 1), (59.9, 1), (60, 2)):
        pinged.heartbeat.check(now)
        assert pinged.pings[connection.connection_id] == pings
    assert not connection.is_closing


async def test_the_silent_are_given_up_and_the_others_are_not(make_pinged: Callable[..., Pinged]) -> None:
    """After the timeout: the one that nothing was heard of. A client that only chats is alive, pong or not."""
    pinged = make_pinged()
    silent, chatting = await pinged.open(), await pinged.open()
    chatting.last_heard = 89
    pinged.heartbeat.check(90)
    assert (silent.is_closing, chatting.is_closing) == (True, False)
    assert silent.ended_with == CloseCode.INTERNAL_ERROR
    pings = pinged.pings.copy()
    pinged.heartbeat.check(200)
    assert pinged.pings[silent.connection_id] == pings[silent.connection_id], "it is going; nobody pings it"


async def test_one_timer_pings_all_slice_by_slice(make_pinged: Callable[..., Pinged]) -> None:
    """A thousand connections, all due at once: every one is pinged, and never many in one turn of the loop."""
    pinged = make_pinged(interval_s=0.5, timeout_s=60)
    connections = [await pinged.open() for _ in range(1000)]
    for connection in connections:
        connection.heard()
    bursts: list[int] = []
    check = pinged.heartbeat.check

    def noting(now: float, connections: Iterable[Connection] | None = None) -> None:
        before = pinged.pings.total()
        check(now, connections)
        bursts.append(pinged.pings.total() - before)

    pinged.heartbeat.check = noting  # type: ignore[method-assign]
    await pinged.heartbeat.start()
    await until(lambda: len(pinged.pings) == 1000)
    assert max(bursts) <= 1000 // SLICES + 1


async def test_it_goes_on_whatever_happens(make_pinged: Callable[..., Pinged]) -> None:
    """One ping that can not be made does not end the heartbeat; a second stop is no error."""
    pinged = make_pinged(interval_s=0.02, timeout_s=60)
    failing = [True]
    make_ping: Any = pinged.make_ping

    def make_or_fail(connection: Connection) -> EncodedFrame:
        if failing:
            raise RuntimeError(failing.pop())
        return make_ping(connection)  # type: ignore[no-any-return]

    pinged.heartbeat._make_ping = make_or_fail
    connection = await pinged.open()
    connection.heard()
    await pinged.heartbeat.start()
    await until(lambda: pinged.pings[connection.connection_id] >= 3)
    assert not failing
    await pinged.heartbeat.stop()
    await pinged.heartbeat.stop()
