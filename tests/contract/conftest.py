"""Each port's twins, behind one fixture: every test of the suite runs over both."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from uuid_utils import uuid7

from course.workbench.postgres_server import PostgresServer
from course.workbench.redis_cluster import RedisCluster
from reference_impl.adapters.board_memory import MemoryBoard
from reference_impl.adapters.board_redis import RedisBoard
from reference_impl.adapters.broker_memory import MemoryBroker, MemoryBus
from reference_impl.adapters.broker_redis import RedisBroker
from reference_impl.adapters.broker_redis_cluster import RedisClusterBroker
from reference_impl.adapters.limits_memory import MemoryMessageQuota, MemorySlotStore
from reference_impl.adapters.limits_redis import RedisMessageQuota, RedisSlotStore
from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.adapters.presence_redis import RedisPresenceStore
from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink, is_cluster
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.adapters.tickets_memory import MemoryTicketStore
from reference_impl.adapters.tickets_redis import RedisTicketStore
from reference_impl.core.board_ports import Board
from reference_impl.core.limit_ports import MessageQuota, SlotStore
from reference_impl.core.ports import Broker, PresenceStore, Store, TicketStore
from reference_impl.core.queue_ports import WorkQueue


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture
def prefix() -> str:
    """A key prefix of the test's own: tests that share a server do not see each other."""
    return f"test-{uuid7().hex[-8:]}:"


@pytest.fixture(params=["memory", "redis", "cluster"])
def shared_url(request: pytest.FixtureRequest) -> str | None:
    """Where the adapters' other side is; None for the twins in memory. Servers start only when a test wants them."""
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        return cluster.url
    url: str | None = request.getfixturevalue("redis_url") if request.param == "redis" else None
    return url


@pytest.fixture
async def make_broker(shared_url: str | None, prefix: str) -> AsyncIterator[Callable[[], Broker]]:
    """Makes brokers that share one bus: one call is one instance."""
    bus = MemoryBus()
    made: list[Broker] = []

    def make() -> Broker:
        if shared_url is None:
            made.append(MemoryBroker(bus))
        else:
            make_broker = RedisClusterBroker if is_cluster(shared_url) else RedisBroker
            made.append(make_broker(shared_url, RedisLink(shared_url), prefix=prefix))
        return made[-1]

    yield make
    for broker in made:
        await broker.stop()


@pytest.fixture
async def presence_store(shared_url: str | None, prefix: str, hand_clock: HandClock) -> AsyncIterator[PresenceStore]:
    if shared_url is None:
        yield MemoryPresenceStore(hand_clock)
        return
    store = RedisPresenceStore(RedisLink(shared_url), prefix=prefix, now=hand_clock)
    yield store
    await store.stop()


@pytest.fixture
async def tickets(shared_url: str | None, prefix: str) -> AsyncIterator[TicketStore]:
    if shared_url is None:
        yield MemoryTicketStore()
        return
    store = RedisTicketStore(RedisLink(shared_url), prefix=prefix)
    yield store
    await store.stop()


@pytest.fixture
async def board(shared_url: str | None, prefix: str, hand_clock: HandClock) -> AsyncIterator[Board]:
    if shared_url is None:
        yield MemoryBoard(hand_clock)
        return
    made = RedisBoard(RedisLink(shared_url), prefix=prefix, now=hand_clock)
    yield made
    for name in await made.post("the last", b"", 1):
        await made.remove(name)
    await made.stop()


@pytest.fixture
async def slot_store(shared_url: str | None, prefix: str, hand_clock: HandClock) -> AsyncIterator[SlotStore]:
    if shared_url is None:
        yield MemorySlotStore(hand_clock)
        return
    store = RedisSlotStore(RedisLink(shared_url), prefix=prefix, now=hand_clock)
    yield store
    await store.stop()


@pytest.fixture
async def quota(shared_url: str | None, prefix: str, hand_clock: HandClock) -> AsyncIterator[MessageQuota]:
    """Ten messages a minute."""
    settings: dict[str, Any] = {"max_messages": 10, "window_s": 60, "now": hand_clock}
    if shared_url is None:
        yield MemoryMessageQuota(**settings)
        return
    made = RedisMessageQuota(RedisLink(shared_url), prefix=prefix, **settings)
    yield made
    await made.stop()


@pytest.fixture
async def make_work_queue(
    shared_url: str | None, prefix: str, hand_clock: HandClock
) -> AsyncIterator[Callable[[], WorkQueue]]:
    """Makes work queues that are one queue, of at most 50 jobs: one call is one instance."""
    settings: dict[str, Any] = {"max_backlog": 50, "retention_s": 3600.0, "now": hand_clock}
    shared = MemoryWorkQueue(**settings)
    made: list[WorkQueue] = []

    def make() -> WorkQueue:
        if shared_url is None:
            return shared
        made.append(RedisWorkQueue(shared_url, RedisLink(shared_url), name="work", prefix=prefix, **settings))
        return made[-1]

    yield make
    for queue in made:
        await queue.stop()


@pytest.fixture
def work_queue(make_work_queue: Callable[[], WorkQueue]) -> WorkQueue:
    return make_work_queue()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | PostgresServer:
    """Which one; a PostgreSQL is started only when a test wants it."""
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
    return server or str(request.param)


@pytest.fixture
async def make_store(database: str | PostgresServer, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Makes stores over one empty database: one call is one instance."""
    url = await database.create_database() if isinstance(database, PostgresServer) else f"sqlite:///{tmp_path}/chat.db"
    made: list[Store] = [MemoryStore()] if database == "memory" else []

    async def make() -> Store:
        if database != "memory":  # memory is no database: all instances have the same one
            made.append(SqlStore(url))
        await made[-1].start()
        return made[-1]

    yield make
    for store in made:
        await store.stop()


@pytest.fixture
async def store(make_store: Callable[[], Awaitable[Store]]) -> Store:
    return await make_store()
