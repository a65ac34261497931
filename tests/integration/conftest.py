"""One lab of two real instances for the tests of a module."""

from collections.abc import AsyncIterator

import pytest_asyncio

from course import Lab


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=2) as started:
        yield started
