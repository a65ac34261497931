"""Who is there: over two instances, through crashes and a Redis that forgets."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis.asyncio

from course import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEASE_S = 2.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    """With short leases."""
    async with Lab(instances=2, settings={"PRESENCE_LEASE_S": LEASE_S}) as started:
        yield started


async def presence(lab: Lab, asker: str, user: str, instance: int = 0) -> bool:
    http = await lab.http(asker, instance=instance)
    answer = (await http.get("/api/v1/presence", params={"user_ids": user})).json()
    return bool(answer[user])


async def test_coming_and_going_is_told_to_those_who_share(lab: Lab) -> None:
    """First device: online. Second: only the device. Last one out, with a goodbye: offline within a second."""
    watcher = await lab.client("watcher", instance=0, conversation="together")
    stranger = await lab.client("stranger", instance=0, conversation="elsewhere")
    phone = await lab.client("carol", instance=1, conversation="together", device_id="phone", device_type="mobile")
    online = await watcher.expect("user_online", user_id="carol")
    assert online["data"] == {"user_id": "carol", "device_id": "phone", "device_type": "mobile"}
    assert online["conversation_id"] == watcher.conversation_id
    await watcher.expect("device_connected", user_id="carol", device_id="phone")
    laptop = await lab.client("carol", instance=0, conversation="together", device_id="laptop")
    await watcher.expect("device_connected", user_id="carol", device_id="laptop")
    assert await presence(lab, "watcher", "carol")
    await phone.close()
    await watcher.expect("device_disconnected", user_id="carol", device_id="phone")
    assert len(watcher.received("user_online")) == 1
    assert watcher.received("user_offline") == []

    left = time.monotonic()
    await laptop.close()
    await watcher.expect("user_offline", user_id="carol")
    assert time.monotonic() - left < 1
    assert not await presence(lab, "watcher", "carol", instance=1)
    await stranger.expect_nothing("user_online", user_id="carol", within=0.1)
    await stranger.expect_nothing("device_connected", user_id="carol", within=0.1)
    for client in (watcher, stranger):
        await client.close()


async def test_a_device_that_comes_back_soon_never_left(lab: Lab) -> None:
    """A lost connection and a quick return, on the other instance: nobody hears of it."""
    watcher = await lab.client("watcher", instance=0, conversation="flicker")
    phone = await lab.client("carol", instance=1, conversation="flicker", device_id="phone")
    await watcher.expect("device_connected", user_id="carol")
    for place in (0, 1, 0):
        phone.kill()
        phone = await lab.client("carol", instance=place, conversation="flicker", device_id="phone")
    await watcher.expect_nothing("user_offline", user_id="carol", within=LEASE_S + 0.5)
    await watcher.expect_nothing("device_disconnected", user_id="carol", within=0.1)
    phone.kill()
    phone = await lab.client("carol", instance=1, conversation="flicker", device_id="phone")
    left = time.monotonic()
    await phone.close()
    await watcher.expect("user_offline", user_id="carol")
    assert time.monotonic() - left < 1, "it was back, and said goodbye: nobody waits for what it lost before"
    await watcher.close()


async def test_redis_forgets_everything(lab: Lab) -> None:
    """FLUSHALL: the instances notice, and everybody who is connected is online again within a lease."""
    watcher = await lab.client("eve", instance=0, conversation="forgotten")
    dave = await lab.client("dave", instance=1, conversation="forgotten")
    await watcher.expect("user_online", user_id="dave")
    client = redis.asyncio.Redis.from_url(lab.redis.url)
    await client.flushall()
    await client.aclose()
    async with asyncio.timeout(LEASE_S):
        while not await presence(lab, "eve", "dave"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert watcher.received("user_offline") == []
    for one in (watcher, dave):
        await one.close()


async def test_a_killed_instance_leaves_no_ghost(lab: Lab) -> None:
    """``kill -9``: its users are offline within one lease, and others are told once."""
    watcher = await lab.client("grace", instance=0, conversation="ghosts")
    frank = await lab.client("frank", instance=1, conversation="ghosts", device_id="phone")
    await watcher.expect("user_online", user_id="frank")
    await lab.kill(1)
    killed = time.monotonic()
    await watcher.expect("user_offline", user_id="frank", timeout=LEASE_S + 2)
    assert time.monotonic() - killed < LEASE_S + 0.5
    assert not await presence(lab, "grace", "frank")
    assert len(watcher.received("device_disconnected")) == 1
    await lab.restart(1)
    assert frank.is_open is False
    await watcher.close()
