"""The broker's promises, over both twins."""

import asyncio
from collections.abc import Callable

from reference_impl.core.ports import Broker

DEADLINE_S = 5


class Instance:
    """A broker with what arrived at it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.arrived: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.gaps = 0

    async def start(self, *channels: str) -> "Instance":
        await self.broker.start(lambda channel, payload: self.arrived.put_nowait((channel, payload)), self._on_gap)
        for channel in channels:
            async with asyncio.timeout(DEADLINE_S):
                while not await self.broker.subscribe(channel):
                    pass
        return self

    async def next(self) -> tuple[str, bytes]:
        async with asyncio.timeout(DEADLINE_S):
            return await self.arrived.get()

    def _on_gap(self) -> None:
        self.gaps += 1


async def test_reaches_every_subscriber_the_publisher_included(make_broker: Callable[[], Broker]) -> None:
    """One publish reaches every subscribed instance, the publisher's own included, and says how many."""
    first, second = await Instance(make_broker()).start("room"), await Instance(make_broker()).start("room")
    assert await first.broker.publish("room", b"hello") == 2
    assert await first.next() == ("room", b"hello")
    assert await second.next() == ("room", b"hello")


async def test_reaches_nobody_else(make_broker: Callable[[], Broker]) -> None:
    """An instance gets the channels it subscribed to and no others."""
    first, second = await Instance(make_broker()).start("room"), await Instance(make_broker()).start("hall")
    assert await first.broker.publish("hall", b"1") == 1
    assert await first.broker.publish("room", b"2") == 1
    assert await second.next() == ("hall", b"1")
    assert await first.next() == ("room", b"2")
    assert first.arrived.empty()
    assert second.arrived.empty()


async def test_keeps_the_order_of_one_publisher(make_broker: Callable[[], Broker]) -> None:
    """Payloads of one publisher on one channel arrive in the order of publishing."""
    publisher, listener = make_broker(), await Instance(make_broker()).start("room")
    await publisher.start(lambda _channel, _payload: None, lambda: None)
    sent = [str(number).encode() for number in range(200)]
    for payload in sent:
        await publisher.publish("room", payload)
    assert [(await listener.next())[1] for _ in sent] == sent


async def test_keeps_the_order_of_calls_that_do_not_wait(make_broker: Callable[[], Broker]) -> None:
    """Many publishes at once go out in the order of the calls, the very first ones too."""
    publisher, listener = make_broker(), await Instance(make_broker()).start("room")
    await publisher.start(lambda _channel, _payload: None, lambda: None)
    for _ in range(3):
        sent = [str(number).encode() for number in range(200)]
        assert await asyncio.gather(*(publisher.publish("room", payload) for payload in sent)) == [1] * 200
        assert [(await listener.next())[1] for _ in sent] == sent


async def test_unsubscribed_means_silence(make_broker: Callable[[], Broker]) -> None:
    """After unsubscribing nothing more arrives; subscribing again works; unknown channels are no error."""
    instance = await Instance(make_broker()).start("room", "end")
    await instance.broker.unsubscribe("room")
    await instance.broker.unsubscribe("never heard of")
    await instance.broker.publish("room", b"unheard")
    await instance.broker.publish("end", b"marker")
    assert await instance.next() == ("end", b"marker")
    assert await instance.broker.subscribe("room")
    await instance.broker.publish("room", b"heard")
    assert await instance.next() == ("room", b"heard")


async def test_many_channels_at_once(make_broker: Callable[[], Broker]) -> None:
    """Hundreds of channels are subscribed side by side; every one is live when subscribing returns."""
    instance = await Instance(make_broker()).start()
    names = [f"room-{number}" for number in range(300)]
    assert all(await asyncio.gather(*(instance.broker.subscribe(name) for name in names)))
    for name in names:
        assert await instance.broker.publish(name, b"") == 1
    assert {(await instance.next())[0] for _ in names} == set(names)


async def test_is_live_while_it_listens(make_broker: Callable[[], Broker]) -> None:
    """``is_live`` and ``health`` follow the listener; stopping twice is no error."""
    instance = await Instance(make_broker()).start("room")
    seen = [instance.broker.is_live]
    assert instance.broker.health().is_ok
    for _ in range(2):
        await instance.broker.stop()
        seen.append(instance.broker.is_live)
        assert instance.broker.health().is_ok == instance.broker.is_live
    assert seen == [True, False, False]
    assert instance.gaps == 0
