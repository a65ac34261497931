"""What the managers tell the hop recorder: enough to say what each of them holds, and nothing that people wrote."""

from typing import Any

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.core.trace import HopRecorder
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.presence import EndedLease, Lease, TakenLease
from tests.fakes import NOON, FakeTransport


class ListRecorder(HopRecorder):
    """Keeps what it is told."""

    on = True

    def __init__(self) -> None:
        self.hops: list[tuple[str, dict[str, Any]]] = []

    def hop(self, hop: str, **detail: Any) -> None:
        self.hops.append((hop, detail))


class OneLease:
    """A presence store that has room for one lease."""

    async def renew(self, leases: list[Lease], _lease_s: float) -> list[TakenLease]:
        return [TakenLease(lease, []) for lease in leases]

    async def release(self, lease: Lease, linger_s: float, *, is_lost: bool = False) -> None:
        self.ending = lease

    async def holds(self, lease: Lease) -> bool:
        return True

    async def expire(self) -> list[EndedLease]:
        return [EndedLease(self.ending, [])]


async def test_a_connection_tells_its_life_and_its_outbox() -> None:
    """Opened, live, one frame in and out of the outbox, no longer live, closed. Without the frame's text."""
    recorder = ListRecorder()
    manager = ConnectionManager(instance_id="i", clock=lambda: NOON, recorder=recorder)
    one = await manager.connect("ann", FakeTransport(), {"device_type": "mobile"})
    connection = manager.connections_by_id[one]
    manager.subscribe(connection, "room")
    connection.send(EncodedFrame(b"a secret", message_id="m"))
    connection.close(1000, "")
    await connection.written()
    manager.unsubscribe(connection, "room")
    await manager.disconnect(one)
    names = [name for name, _ in recorder.hops]
    life = ["connection_opened", "subscribed", "enqueued", "written", "unsubscribed", "connection_closed"]
    assert names == life
    detail = dict(recorder.hops)
    assert detail["connection_opened"]["device_type"] == "mobile"
    assert (detail["enqueued"]["waiting"], detail["enqueued"]["bytes"]) == (1, 8)
    assert (detail["written"]["waiting"], detail["written"]["bytes"]) == (0, 0)
    assert "secret" not in str(recorder.hops)


async def test_a_reader_that_is_too_slow_is_told_of() -> None:
    """The frame that found no room names its message and how full the outbox was."""
    recorder = ListRecorder()
    manager = ConnectionManager(instance_id="i", clock=lambda: NOON, recorder=recorder, outbox_frames=1)
    stalled = FakeTransport()
    stalled.stall()
    one = await manager.connect("ann", stalled)
    connection = manager.connections_by_id[one]
    assert connection.send(EncodedFrame(b"", message_id="m1"))
    assert not connection.send(EncodedFrame(b"", message_id="m2"))
    name, detail = recorder.hops[-1]
    assert (name, detail["message_id"], detail["waiting"]) == ("overflowed", "m2", 1)
    await manager.disconnect(one)


async def test_a_lease_tells_when_it_is_taken_given_back_and_over() -> None:
    """Renewing a lease is no news."""
    recorder = ListRecorder()
    store: Any = OneLease()
    manager = PresenceManager(store, announce=lambda change: None, recorder=recorder)
    await manager.add_user_to_online("ann", "c")
    await manager.remove_user_from_online("ann", "c")
    await manager.look()
    assert [name for name, _ in recorder.hops] == ["lease_taken", "lease_released", "lease_ended"]
    assert {detail["connection_id"] for _, detail in recorder.hops} == {"c"}
