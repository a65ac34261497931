"""Events inside one instance."""

import asyncio
import gc
import threading
from functools import partial
from typing import Any

import pytest

from reference_impl.core.event_bus import EventBus
from reference_impl.model.events import Event, EventTypes, SystemEvent
from tests.fakes import NOON, until

EVENT = Event(type="thing_happened", timestamp=NOON)


def fail(_event: Event) -> None:
    raise RuntimeError("a handler's own mistake")


async def fail_later(event: Event) -> None:
    fail(event)


async def test_both_kinds_of_handlers_are_called() -> None:
    """Sync handlers run at once, async ones before ``publish_async`` returns; other types reach nobody."""
    bus = EventBus()
    seen: list[Any] = []

    async def later(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(("later", event.type))

    bus.subscribe("thing_happened", lambda event: seen.append(("now", event.type)))
    bus.subscribe_async("thing_happened", later)
    await bus.publish_async(EVENT)
    await bus.publish_async(Event(type="nobody_cares", timestamp=NOON))
    assert seen == [("now", "thing_happened"), ("later", "thing_happened")]


async def test_a_failing_handler_harms_nobody_and_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """The others run, the failure is counted and logged with its traceback."""
    bus = EventBus()
    seen: list[Any] = []
    bus.subscribe("thing_happened", fail)
    bus.subscribe_async("thing_happened", fail_later)
    bus.subscribe("thing_happened", seen.append)
    errors: list[SystemEvent] = []
    bus.subscribe(EventTypes.SYSTEM_ERROR, errors.append)
    bus.subscribe(EventTypes.SYSTEM_ERROR, fail)
    await bus.publish_async(EVENT)
    assert seen == [EVENT]
    assert bus.failures == 2 + 2, "two failed, and so did the handler of each of the two errors"
    assert caplog.text.count("a handler's own mistake") >= 2
    assert "handler fail_later of event thing_happened failed after 0.0" in caplog.text
    assert [(error.code, error.data["handler"]) for error in errors] == [
        ("handler_failed", "fail"),
        ("handler_failed", "fail_later"),
    ], "told once each, and an error of a handler of errors is told to nobody"


async def test_a_handler_may_unsubscribe_itself() -> None:
    """The neighbour of a handler that leaves while it is called is not skipped."""
    bus = EventBus()
    seen: list[Any] = []

    def once(_event: Event) -> None:
        seen.append("once")
        bus.unsubscribe("thing_happened", once)

    bus.subscribe("thing_happened", once)
    bus.subscribe("thing_happened", lambda _event: seen.append("always"))
    for _ in range(2):
        bus.publish(EVENT)
    assert seen == ["once", "always", "always"]
    bus.unsubscribe("thing_happened", once)


async def test_handlers_need_no_name() -> None:
    """Partials and callable objects are handlers, also when they fail."""
    bus = EventBus()
    seen: list[Any] = []

    def note(word: str, _event: Event) -> None:
        seen.append(word)

    class Failing:
        def __call__(self, event: Event) -> None:
            fail(event)

    bus.subscribe("thing_happened", partial(note, "partial"))
    bus.subscribe("thing_happened", Failing())
    bus.publish(EVENT)
    assert (seen, bus.failures) == (["partial"], 1)


async def test_a_log_names_a_handler_and_not_what_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    """The ``repr`` of a partial or an object would show what is in it."""
    bus = EventBus()

    class Failing:
        def __init__(self, secret: str) -> None:
            self.secret = secret

        def __call__(self, _event: Event) -> None:
            raise RuntimeError

        def __repr__(self) -> str:
            return self.secret

    bus.subscribe("thing_happened", partial(partial(fail), "a secret"))
    bus.subscribe("thing_happened", Failing("a secret"))
    bus.publish(EVENT)
    assert bus.failures == 2
    assert "handler fail of event thing_happened" in caplog.text
    assert "Failing of event thing_happened" in caplog.text
    assert "a secret" not in caplog.text


async def test_either_door_takes_either_kind() -> None:
    """An async handler that was subscribed as a sync one is awaited all the same, and the other way round."""
    bus = EventBus()
    seen: list[Any] = []

    async def later(word: str, _event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(word)

    bus.subscribe("thing_happened", partial(later, "async"))
    bus.subscribe_async("thing_happened", lambda _event: seen.append("sync"))
    await bus.publish_async(EVENT)
    assert sorted(seen) == ["async", "sync"]
    assert bus.failures == 0


async def test_a_slow_handler_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """With its name, its event and how long it took."""
    bus = EventBus(slow_s=0.0)

    def slow(_event: Event) -> None:
        """Any time at all is too long for this bus."""

    bus.subscribe("thing_happened", slow)
    bus.publish(EVENT)
    assert bus.slow == 1
    assert "slow of event thing_happened took 0.0" in caplog.text


async def test_another_thread_may_publish() -> None:
    """The event is handed over to the event loop: its handlers run there, the async ones, too."""
    bus = EventBus()
    await bus.start()
    threads: list[Any] = []

    async def later(_event: Event) -> None:
        threads.append(threading.get_ident())

    bus.subscribe("thing_happened", lambda _event: threads.append(threading.get_ident()))
    bus.subscribe_async("thing_happened", later)
    await asyncio.to_thread(bus.publish, EVENT)
    await until(lambda: len(threads) == 2)
    await asyncio.to_thread(lambda: asyncio.run(bus.publish_async(EVENT)))
    assert threads == [threading.get_ident()] * 4


def test_where_no_event_loop_is_an_async_handler_is_an_error() -> None:
    """Nobody would ever run it: the publisher is told at once. Sync handlers need no loop."""
    bus = EventBus()
    seen: list[Any] = []
    bus.subscribe("thing_happened", seen.append)
    bus.publish(EVENT)
    assert seen == [EVENT]
    bus.subscribe_async("thing_happened", fail_later)
    with pytest.raises(RuntimeError, match="no event loop"):
        bus.publish(EVENT)
    assert seen == [EVENT]


async def test_a_task_nobody_holds_is_not_collected() -> None:
    """The loop holds tasks weakly; the bus holds them strongly until they end."""
    bus = EventBus()
    seen: list[Any] = []

    async def waits_alone(event: Event) -> None:
        await asyncio.sleep(0.02)
        seen.append(event)

    bus.subscribe_async("thing_happened", waits_alone)
    bus.publish(EVENT)
    await asyncio.sleep(0)
    gc.collect()
    await bus.drain(5)
    assert seen == [EVENT]


async def test_drain_waits_for_what_handlers_publish() -> None:
    """An event that a handler publishes while the bus drains is handled, too."""
    bus = EventBus()
    seen: list[Any] = []

    async def first(_event: Event) -> None:
        await asyncio.sleep(0)
        bus.publish(Event(type="another_thing_happened", timestamp=NOON))

    async def second(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.type)

    bus.subscribe_async("thing_happened", first)
    bus.subscribe_async("another_thing_happened", second)
    bus.publish(EVENT)
    await bus.drain(5)
    assert seen == ["another_thing_happened"]
    assert bus.published == {"thing_happened": 1, "another_thing_happened": 1}


def test_a_time_without_a_zone_is_refused() -> None:
    """Two clocks without zones have no order."""
    with pytest.raises(ValueError, match="time zone"):
        Event(type="thing_happened", timestamp=NOON.replace(tzinfo=None))


async def test_publish_does_not_wait_and_drain_does() -> None:
    """A slow handler holds nobody up; draining waits for it, and cancels what never ends."""
    bus = EventBus()
    seen: list[Any] = []
    go_on = asyncio.Event()

    async def slow(_event: Event) -> None:
        await go_on.wait()
        seen.append("done")

    bus.subscribe_async("thing_happened", slow)
    bus.publish(EVENT)
    assert seen == []
    go_on.set()
    await bus.drain(5)
    assert seen == ["done"]
    go_on.clear()
    bus.publish(EVENT)
    await bus.drain(0.01)
    assert _handler_tasks() == []
    await bus.drain(1)


def _handler_tasks() -> list[Any]:
    return [task for task in asyncio.all_tasks() if task.get_name().endswith("handler")]
