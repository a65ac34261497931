"""The promises of single-use tickets, over both twins."""

import asyncio

from reference_impl.core.ports import TicketStore


async def test_a_ticket_works_once(tickets: TicketStore) -> None:
    """The second time, and for a ticket that never was, there is nothing."""
    await tickets.put("one", b"ann", 30)
    assert await tickets.take("one") == b"ann"
    assert await tickets.take("one") is None
    assert await tickets.take("two") is None


async def test_of_many_who_come_at_once_one_gets_in(tickets: TicketStore) -> None:
    """Taking is one step: no two find the same ticket."""
    await tickets.put("one", b"ann", 30)
    taken = await asyncio.gather(*(tickets.take("one") for _ in range(20)))
    assert [identity for identity in taken if identity is not None] == [b"ann"]


async def test_a_ticket_ends(tickets: TicketStore) -> None:
    """After its time a ticket is worth nothing."""
    await tickets.put("short", b"ann", 0.02)
    async with asyncio.timeout(5):
        while await tickets.take("short") is not None:
            await tickets.put("short", b"ann", 0.02)
            await asyncio.sleep(0.05)  # the ticket's own time has to pass: no condition to wait for
