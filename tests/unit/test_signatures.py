"""Who can write to Redis can not speak as an instance."""

import logging

import msgspec
import pytest

from reference_impl.adapters.broker_memory import MemoryBroker, MemoryBus
from reference_impl.adapters.tickets_memory import MemoryTicketStore
from reference_impl.core.message_router import BROADCAST_CHANNEL, PRESENCE_CHANNEL, MessageRouter
from reference_impl.core.trace import HopRecorder
from reference_impl.model.bus_messages import AnyBusMessage, DirectFrame, encode_bus_message
from reference_impl.model.errors import AuthenticationFailed
from reference_impl.model.signatures import Forged, Signer
from reference_impl.services.authentication_service import AuthenticationService
from tests.fakes import NOON, until

OURS, THEIRS = Signer("a" * 32), Signer("b" * 32)
FORGED = encode_bus_message(DirectFrame(instance_id="i-1", target_user_id="ann", frame=b"{}"))


def router(bus: MemoryBus, signer: Signer = OURS) -> MessageRouter:
    return MessageRouter(MemoryBroker(bus), instance_id="i-1", recorder=HopRecorder(), signer=signer)


def test_what_was_signed_counts_in_its_place_only() -> None:
    """Another key, another place, a changed byte, a cut or empty payload: none of them is ours."""
    signed = OURS.sign("room", b"hello")
    assert OURS.verify("room", signed) == b"hello"
    changed = signed[:-1] + b"O"
    for place, other in [("hall", signed), ("room", changed), ("room", signed[:10]), ("room", b""), ("roo", signed)]:
        with pytest.raises(Forged):
            OURS.verify(place, other)
    with pytest.raises(Forged):
        THEIRS.verify("room", signed)


async def test_a_forged_bus_message_is_counted_and_reaches_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Without a signature, with one of another key, or moved from another channel. Its content is in no log."""
    bus, heard = MemoryBus(), list[AnyBusMessage]()
    one, other = router(bus), MemoryBroker(bus)
    await one.start(heard.append, lambda: None)
    with caplog.at_level(logging.WARNING):
        for payload in (FORGED, THEIRS.sign(BROADCAST_CHANNEL, FORGED), OURS.sign(PRESENCE_CHANNEL, FORGED), b""):
            await other.publish(BROADCAST_CHANNEL, payload)
        await one.publish_to_user("bob", b"canary")
        await until(lambda: heard)
    assert [message.target_user_id for message in heard if isinstance(message, DirectFrame)] == ["bob"]
    assert one.forged == 4
    assert "CHAT_SECRET_KEY" in caplog.text
    assert "ann" not in caplog.text
    await one.stop()


async def test_a_ticket_that_was_written_into_redis_signs_nobody_in() -> None:
    """Who can write there could else make themselves anybody, an operator too."""
    tickets = MemoryTicketStore()
    service = AuthenticationService(secret_key="a" * 32, clock=lambda: NOON, tickets=tickets)
    _, identity = service.issue_token("ann")
    await tickets.put("forged", msgspec.json.encode(identity), 30)
    with pytest.raises(AuthenticationFailed):
        await service.redeem_ticket("forged")
    ticket, _ = await service.issue_ticket(identity)
    assert await service.redeem_ticket(ticket) == identity
