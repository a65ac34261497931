"""Events inside one instance."""

import asyncio
from functools import partial
from typing import Any

import pytest

from reference_impl.core.event_bus import EventBus
from reference_impl.model.events import Event
from tests.fakes import NOON

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
    await bus.publish_async(EVENT)
    assert seen == [EVENT]
    assert bus.failures == 2
    assert caplog.text.count("a handler's own mistake") >= 2
    assert "fail_later" in caplog.text


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
