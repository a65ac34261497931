"""What all tests share."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.workbench.redis_server import RedisServer

sys.path.insert(0, str(Path(__file__).parent / "unit"))  # for the fakes


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One real Redis-compatible server for the whole run. Tests keep apart by their key prefix."""
    server = RedisServer()
    asyncio.run(server.start())
    yield server.url
    asyncio.run(server.stop())
