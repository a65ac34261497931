"""What all tests share."""

import asyncio
from collections.abc import Iterator

import pytest

from course.workbench.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One real Redis-compatible server for the whole run. Tests keep apart by their key prefix."""
    server = RedisServer()
    asyncio.run(server.start())
    yield server.url
    asyncio.run(server.stop())
