"""What all tests share."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from course.workbench.redis_server import RedisServer

sys.path.insert(0, str(Path(__file__).parent / "unit"))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory):
    """One real Redis-compatible server for the whole run."""
