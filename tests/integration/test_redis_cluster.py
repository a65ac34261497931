"""Two instances over a Redis cluster: conversations spread over its primaries, and one of them may hang."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from redis.crc import key_slot

from course import Lab
from course.workbench.client import LabClient
from course.workbench.redis_cluster import SLOTS, RedisCluster
from reference_impl.adapters.broker_redis_cluster import RedisClusterBroker
from reference_impl.adapters.redis_client import RedisLink

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOMS = 12
"""Enough that each primary has some."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[RedisCluster]:
    """One of our own, to be frozen."""
    async with RedisCluster() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def lab(cluster: RedisCluster) -> AsyncIterator[Lab]:
    async with Lab(instances=2, redis_url=cluster.url) as started:
        yield started


async def readiness(lab: Lab, instance: int) -> str:
    http = await lab.http("operator", instance=instance)
    return str((await http.get("/readyz")).json()["status"])


async def until_readiness(lab: Lab, wanted: str, within: float) -> None:
    async with asyncio.timeout(within):
        for instance in range(2):
            while await readiness(lab, instance) != wanted:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)


async def couples(lab: Lab) -> list[tuple[LabClient, LabClient]]:
    """A writer on the one instance and a reader on the other, in each of the conversations."""
    return [
        (
            await lab.client(f"ann-{n}", instance=0, conversation=f"room {n}"),
            await lab.client(f"bob-{n}", instance=1, conversation=f"room {n}"),
        )
        for n in range(ROOMS)
    ]


async def test_conversations_spread_over_the_primaries(lab: Lab, cluster: RedisCluster) -> None:
    """Each message crosses from instance to instance, through the one node that owns its conversation's channel."""
    for writer, reader in await couples(lab):
        sent = await writer.send("hello")
        await reader.expect("new_message", text="hello")
        assert lab.trace(sent).names.count("bus_received") == 2
    for node in cluster.nodes:
        listened_to = node.ask("PUBSUB", "SHARDCHANNELS")
        assert any("ws:conversation:" in channel for channel in listened_to)
    await until_readiness(lab, "ready", within=5)


async def test_a_primary_that_hangs_loses_nothing(lab: Lab, cluster: RedisCluster) -> None:
    """One primary hangs: sends are acked, its conversations arrive from the store, readiness says so; it heals."""
    pairs = await couples(lab)
    await cluster.pause(1)
    for number in range(3):
        for writer, _ in pairs:
            await writer.send(f"while it hangs {number}", timeout=20)
    for _, reader in pairs:
        await reader.expect("new_message", text="while it hangs 2", timeout=10)
    await until_readiness(lab, "degraded", within=10)
    await cluster.resume(1)
    await until_readiness(lab, "ready", within=15)
    for writer, reader in pairs:
        await writer.send("after")
        await reader.expect("new_message", text="after")
        seqs = [frame["data"]["seq"] for frame in reader.received("new_message")]
        assert seqs == [1, 2, 3, 4]


async def test_a_channel_whose_slot_moves_is_followed(cluster: RedisCluster) -> None:
    """The publisher is told by the old owner and asks the new one; the listener follows, and reports the gap."""
    publisher, listener = (RedisClusterBroker(cluster.url, RedisLink(cluster.url)) for _ in range(2))
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    gap = asyncio.Event()
    await listener.start(lambda _channel, payload: arrived.put_nowait(payload), gap.set)
    slot = key_slot(b"moving")
    owner = slot * len(cluster.nodes) // SLOTS
    another = (owner + 1) % len(cluster.nodes)
    try:
        async with asyncio.timeout(10):
            while not await listener.subscribe("moving"):
                pass
            for to in (another, owner):
                assert await publisher.publish("moving", b"before") == 1
                assert await arrived.get() == b"before"
                cluster.move_slot(slot, to)
                await publisher.publish("moving", b"perhaps nobody listens there yet")
                await gap.wait()
                gap.clear()
                assert await publisher.publish("moving", b"after") == 1
                while await arrived.get() != b"after":
                    pass
    finally:
        cluster.move_slot(slot, owner)
        await asyncio.gather(publisher.stop(), listener.stop())


async def test_a_plain_url_to_a_cluster_says_what_to_write(cluster: RedisCluster) -> None:
    """A node of a cluster, named as if it were a server of its own: one line says which URL to use."""
    owner = key_slot(b"{ws:online_users}") * len(cluster.nodes) // SLOTS
    another = cluster.nodes[owner - 1]
    plain = f"redis://127.0.0.1:{another.port}"
    async with Lab(instances=1, redis_url=plain) as lab:
        ann = await lab.client("ann")
        await ann.send("hello")
        async with asyncio.timeout(5):
            while "use redis+cluster://" not in lab.log(0, 1000):  # noqa: ASYNC110 - another process's log
                await asyncio.sleep(0.05)


async def test_nothing_is_left_in_the_cluster(cluster: RedisCluster) -> None:
    """A lab that has ended takes its keys with it."""
    async with Lab(instances=1, redis_url=cluster.url) as lab:
        await lab.client("ann")
        prefix = lab.key_prefix
    with redis.RedisCluster.from_url(cluster.url.replace("+cluster", "")) as client:
        left = list(client.scan_iter(match=f"{prefix}*", count=1000))
    assert left == []
