"""Instances that show each other how they are."""

from typing import Any, cast

import msgspec
import pytest

from reference_impl.adapters.board_memory import MemoryBoard
from reference_impl.core.figures_source import FiguresSource
from reference_impl.core.instance_board import KEPT_S, InstanceBoard
from reference_impl.model.errors import Unavailable
from reference_impl.model.figures import SILENT_S, InstanceFigures
from tests.contract.conftest import HandClock
from tests.fakes import until


class Source:
    """Figures of an instance, as of now."""

    def __init__(self, name: str, clock: HandClock) -> None:
        self.loop_lag_s = -1.0
        self.silent = 0
        self._name = name
        self._clock = clock

    def note_silent(self, instances: int) -> None:
        self.silent = instances

    def read(self) -> InstanceFigures:
        return InstanceFigures(
            instance_id=self._name,
            at=self._clock.now,
            started_at=0,
            status="ready",
            now={"connections": 1},
            curves={},
            parts=[],
            alerts=[],
        )


class Shaky(MemoryBoard):
    """A board that can be away."""

    is_away = False

    async def post(self, name: str, note: bytes, ttl_s: float) -> dict[str, bytes]:
        if self.is_away:
            raise Unavailable("away")
        return await super().post(name, note, ttl_s)


class Date:
    """The clock of an instance, moved by hand."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock

    def timestamp(self) -> float:
        return self._clock.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def shared(clock: HandClock) -> Shaky:
    return Shaky(clock)


def instance(name: str, shared: Shaky, clock: HandClock) -> InstanceBoard:
    source = cast(FiguresSource, Source(name, clock))
    return InstanceBoard(board=shared, source=source, instance_id=name, clock=cast(Any, lambda: Date(clock)))


def seen(board: InstanceBoard) -> dict[str, str]:
    return {figures.instance_id: figures.status for figures in board.instances()}


async def test_a_silent_instance_is_gone_then_forgotten(shared: Shaky, clock: HandClock) -> None:
    """A killed one is ready until it should have posted, then gone, and after some minutes it is not there any more."""
    one, two = instance("one", shared, clock), instance("two", shared, clock)
    await one.post()
    assert seen(one) == {"one": "ready"}
    await two.post()
    await one.post()
    assert seen(one) == {"one": "ready", "two": "ready"}
    clock.now += SILENT_S + 1
    await one.post()
    assert seen(one) == {"one": "ready", "two": "gone"}
    assert cast(Any, one)._source.silent == 1
    clock.now += KEPT_S
    await one.post()
    assert seen(one) == {"one": "ready"}


async def test_while_the_board_is_away_nothing_is_known_of_the_others(shared: Shaky, clock: HandClock) -> None:
    """They may be well: they are not called gone. This instance itself goes on to show what it measures."""
    one, two = instance("one", shared, clock), instance("two", shared, clock)
    await two.post()
    await one.post()
    shared.is_away = True
    clock.now += SILENT_S + 1
    with pytest.raises(Unavailable):
        await one.post()
    assert one.is_away
    assert seen(one) == {"one": "ready", "two": "unknown"}
    shared.is_away = False
    await one.post()
    assert seen(one) == {"one": "ready", "two": "unknown"}, "the other one may not have come back to the board yet"
    assert cast(Any, one)._source.silent == 0
    clock.now += SILENT_S + 1
    await one.post()
    assert seen(one) == {"one": "ready", "two": "gone"}


async def test_a_note_of_another_release(shared: Shaky, clock: HandClock) -> None:
    """A rolling update: what can not be read is left out, and the rest is shown."""
    one = instance("one", shared, clock)
    await shared.post("newer", b'{"figures": 2}', 60)
    await shared.post("broken", b"\\xff", 60)
    await one.post()
    assert seen(one) == {"one": "ready"}


async def test_it_posts_by_itself_and_takes_its_note_along(
    shared: Shaky, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again and again, through an outage; who stops leaves nothing behind, and may stop twice."""
    monkeypatch.setattr("reference_impl.core.instance_board.POST_S", 0.001)
    one = instance("one", shared, clock)
    shared.is_away = True
    await one.start()
    await until(lambda: one.is_away)
    shared.is_away = False
    await until(lambda: not one.is_away)
    assert msgspec.json.decode((await shared.post("probe", b"", 60))["one"])["status"] == "ready"
    await until(lambda: cast(Any, one)._source.loop_lag_s >= 0)
    await one.stop()
    await one.stop()
    assert (await shared.post("probe", b"", 60)).keys() == {"probe"}
