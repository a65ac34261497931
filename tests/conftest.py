"""What all tests share."""

import asyncio
from collections.abc import Iterator

import pytest

from course.workbench.forks import FORKS
from course.workbench.postgres_server import PostgresServer
from course.workbench.redis_cluster import RedisCluster
from course.workbench.redis_server import RedisServer
from tests import frame_check


@pytest.fixture(scope="session", autouse=True)
def _one_fork_server() -> Iterator[None]:
    """All labs of this process share it."""
    with FORKS.kept():
        yield


@pytest.fixture(scope="session")
def _complaints() -> Iterator[list[str]]:
    with pytest.MonkeyPatch.context() as patch:
        yield frame_check.watch(patch)


@pytest.fixture(autouse=True)
def _all_frames_fit_the_published_schemas(_complaints: list[str]) -> Iterator[None]:
    """Every frame that a lab client sends or gets is held against ``/asyncapi.json``, in every test."""
    yield
    came, _complaints[:] = _complaints[:], []
    assert not came, "\n".join(came[:20])


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One real Redis-compatible server for the whole run. Tests keep apart by their key prefix."""
    server = RedisServer()
    asyncio.run(server.start())
    yield server.url
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One real cluster of three primaries for the whole run."""
    cluster = RedisCluster()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One real PostgreSQL for the whole run. Tests keep apart by ``create_database``."""
    server = PostgresServer()
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
