"""Background work in real processes that are killed in the middle of it."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from uuid_utils import uuid7

from course.workbench.redis_server import RedisServer
from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink
from reference_impl.model.jobs import QueueSizes

ROOT = Path(__file__).resolve().parents[2]
JOBS, DEADLINE_S = 600, 40

WORKER = """
import asyncio, sys
from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink
from reference_impl.core.message_queue import MessageQueue

async def effect(job):
    await asyncio.sleep(0.005)
    print(job.id, flush=True)

async def main(url, prefix, name):
    work = RedisWorkQueue(url, RedisLink(url), name="work", prefix=prefix)
    queue = MessageQueue(queue=work, worker=name, workers=8, claim_s=0.5)
    await queue.start(effect)
    await asyncio.to_thread(sys.stdin.read)
    await queue.stop(5)

asyncio.run(main(*sys.argv[1:]))
"""


class Worker:
    """One process; what it did is in ``effects``."""

    def __init__(self, effects: Counter[str]) -> None:
        self._effects = effects
        self._done = 0

    async def start(self, url: str, prefix: str) -> "Worker":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, url, prefix, f"w-{uuid7().hex[-8:]}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        return self

    async def did(self, count: int) -> None:
        while self._done < count:  # noqa: ASYNC110 - the process offers nothing else to wait on
            await asyncio.sleep(0.005)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._ended()

    async def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self._ended()

    async def _ended(self) -> int:
        code = await self._process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._effects[line.decode().strip()] += 1
            self._done += 1


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[tuple[RedisWorkQueue, str, str]]:
    prefix = f"test-{uuid7().hex[-8:]}:"
    made = RedisWorkQueue(redis_url, RedisLink(redis_url), name="work", prefix=prefix)
    yield made, redis_url, prefix
    await made.stop()


async def empty(queue: RedisWorkQueue) -> None:
    while await queue.sizes() != QueueSizes(0, 0, 0, 0):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)


async def test_a_killed_worker_s_jobs_are_done_by_others(queue: tuple[RedisWorkQueue, str, str]) -> None:
    """Every job is done; twice only what a killed worker had in its hands. One that ends cleanly leaves nothing."""
    work, url, prefix = queue
    effects: Counter[str] = Counter()
    names = {f"job-{n:03}" for n in range(JOBS)}
    for name in sorted(names):
        await work.enqueue(name, b"{}")
    async with asyncio.timeout(DEADLINE_S):
        workers = [await Worker(effects).start(url, prefix) for _ in range(2)]
        await workers[0].did(50)
        await workers[0].kill()
        workers[0] = await Worker(effects).start(url, prefix)
        await workers[1].did(100)
        await workers[1].kill()
        await empty(work)
        assert await workers[0].end() == 0
    assert set(effects) == names
    assert sum(effects.values()) <= JOBS + 2 * 8
    assert await work.dead_letters(10) == []


async def test_a_redis_that_hangs_loses_no_work() -> None:
    """Longer than any command waits: the workers come back by themselves, and all is done."""
    async with RedisServer() as server:
        if server.pid is None:
            pytest.skip(f"this Redis can not be paused: {server.choice.kind}")
        work = RedisWorkQueue(server.url, RedisLink(server.url), name="work")
        effects: Counter[str] = Counter()
        names = {f"job-{n:03}" for n in range(JOBS)}
        for name in sorted(names):
            await work.enqueue(name, b"{}")
        async with asyncio.timeout(DEADLINE_S):
            worker = await Worker(effects).start(server.url, "")
            await worker.did(50)
            await server.pause()
            await asyncio.sleep(2.5)  # what is tested is what this much silence does
            await server.resume()
            await empty(work)
            assert await worker.end() == 0
        await work.stop()
        assert set(effects) == names
        assert sum(effects.values()) <= JOBS + 8
