"""What a pong confirms, and when it is written down."""

from collections.abc import AsyncIterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reference_impl.core.delivery_confirmations import DeliveryConfirmations
from reference_impl.core.event_bus import EventBus
from reference_impl.model.errors import Unavailable
from reference_impl.model.event_factories import create_user_event
from reference_impl.model.events import EventTypes
from reference_impl.model.positions import Position
from tests.fakes import NOON, until

LONG_S = 3600.0


class Feeds:
    """Each conversation's head."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}

    def last_seq(self, conversation_id: str) -> int | None:
        return self.heads.get(conversation_id)


class Positions:
    """Notes each transaction."""

    def __init__(self) -> None:
        self.written: list[dict[tuple[str, str], int]] = []
        self.is_away = False
        self.refused = 0

    async def advance(self, positions: list[Position]) -> list[Position]:
        if self.is_away:
            self.refused += 1
            raise Unavailable("away")
        self.written.append({(one.conversation_id, one.user_id): one.seq for one in positions})
        return positions


class Stage:
    """The part, between fakes; ``ping`` and ``pong`` as the heartbeat and a connection's reader do."""

    def __init__(self) -> None:
        self.feeds, self.store, self.bus = Feeds(), Positions(), EventBus()
        self.seconds = 0
        self.part = DeliveryConfirmations(
            feeds=cast(Any, self.feeds), store=cast(Any, self.store), event_bus=self.bus, clock=self._clock
        )

    def _clock(self) -> datetime:
        return NOON.replace(second=self.seconds)

    def connection(self, user_id: str) -> Any:
        names = {"c"}
        return SimpleNamespace(
            user_id=user_id, joined_ids=names, conversation_ids=names, is_device_wide=False, open_pings={}, confirmed={}
        )

    def ping(self, connection: Any) -> float:
        self.seconds += 1
        self.part.make_ping(connection)
        return self._clock().timestamp()

    def round_trip(self, *connections: Any) -> None:
        for connection in connections:
            self.part.take_pong(connection, self.ping(connection))

    def somebody_leaves(self) -> None:
        self.bus.publish(create_user_event(EventTypes.WS_DISCONNECT, "bob", timestamp=NOON))


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """It collects for an hour: only who is in a hurry is written."""
    monkeypatch.setattr("reference_impl.core.delivery_confirmations.COLLECT_S", LONG_S)
    monkeypatch.setattr("reference_impl.core.delivery_confirmations.RETRY_S", 0.0)
    made = Stage()
    await made.part.start()
    yield made
    await made.part.stop()


async def test_all_of_a_moment_are_one_transaction_and_somebody_s_leaving_hurries_it(stage: Stage) -> None:
    """What Bob has confirmed is written before it is decided what he is pushed; with it what others have."""
    stage.feeds.heads["c"] = 7
    stage.round_trip(stage.connection("bob"), stage.connection("cleo"))
    stage.somebody_leaves()
    await until(lambda: stage.store.written)
    assert stage.store.written == [{("c", "bob"): 7, ("c", "cleo"): 7}]


async def test_a_pong_confirms_what_its_ping_has_seen(stage: Stage) -> None:
    """Not what was said between the two; and one that answers no ping confirms nothing."""
    stage.feeds.heads["c"] = 7
    bob = stage.connection("bob")
    sent_at = stage.ping(bob)
    stage.feeds.heads["c"] = 8
    for timestamp in (None, "not a number", sent_at + 1, str(sent_at)):
        stage.part.take_pong(bob, timestamp)
    await stage.part.stop()
    assert stage.store.written == [{("c", "bob"): 7}]


async def test_where_nobody_speaks_nothing_is_written(stage: Stage) -> None:
    """The second pong says what the first has said."""
    stage.feeds.heads["c"] = 7
    bob = stage.connection("bob")
    stage.round_trip(bob)
    stage.somebody_leaves()
    await until(lambda: stage.store.written)
    stage.round_trip(bob)
    stage.somebody_leaves()
    await stage.part.stop()
    assert len(stage.store.written) == 1
    await stage.part.start()
    stage.feeds.heads["c"] = 8
    stage.round_trip(bob)
    await stage.part.stop()
    assert stage.store.written[1:] == [{("c", "bob"): 8}]


async def test_what_could_not_be_written_is_written_later(stage: Stage) -> None:
    """The database is away, and then it is back; what was confirmed meanwhile goes along."""
    stage.store.is_away = True
    stage.feeds.heads["c"] = 7
    bob, cleo = stage.connection("bob"), stage.connection("cleo")
    stage.round_trip(bob, cleo)
    stage.somebody_leaves()
    await until(lambda: stage.store.refused)
    stage.store.is_away = False
    stage.feeds.heads["c"] = 8
    stage.round_trip(bob)
    await stage.part.stop()
    assert stage.store.written == [{("c", "bob"): 8, ("c", "cleo"): 7}]
