"""Limits that hold over two real instances, whatever happens to one of them or to Redis."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from course import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEASE_S = 2
SETTINGS = {
    "MAX_CONNECTIONS_PER_USER": 5,
    "MAX_CONNECTIONS_PER_IP": 8,
    "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
    "RATE_LIMIT_MAX_MESSAGES": 10,
    "RATE_LIMIT_WINDOW_S": 600,
    "PRESENCE_LEASE_S": LEASE_S,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=2, settings=SETTINGS) as started:
        yield started


class Tries:
    """Sockets opened from an address of choice; what came of each."""

    def __init__(self, lab: Lab, conversation: str) -> None:
        self._lab = lab
        self._conversation = conversation
        self.open: list[ClientConnection] = []

    async def one(self, user: str, instance: int, *forwarded_for: str) -> int | str:
        """``connected``, or the close code. Two header lines are one list, as a proxy's own line behind another's."""
        protocols = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{await self._lab.token(user)}")]
        headers = [("X-Forwarded-For", value) for value in forwarded_for]
        url = self._lab.ws_url(instance, self._conversation)
        socket = await connect(url, subprotocols=protocols, additional_headers=headers, proxy=None)
        try:
            async with asyncio.timeout(10):
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code or 0
        self.open.append(socket)
        return "connected"

    async def until_connected(self, user: str, instance: int, address: str, within: float) -> None:
        """Tries again and again, for ``within`` seconds at most."""
        async with asyncio.timeout(within):
            while await self.one(user, instance, address) != "connected":  # noqa: ASYNC110 - it is elsewhere
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await asyncio.gather(*(socket.close() for socket in self.open))
        self.open.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def tries(lab: Lab) -> AsyncIterator[Tries]:
    users = ["ann", "bob", *(f"user-{number}" for number in range(10))]
    made = Tries(lab, await lab.conversation("general", *users))
    yield made
    await made.close()


async def metric(lab: Lab, instance: int, name: str) -> float:
    async with httpx2.AsyncClient(trust_env=False) as http:
        lines = (await http.get(lab.url(instance) + "/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


async def test_of_thirty_devices_at_once_five_get_in(lab: Lab, tries: Tries) -> None:
    """On two instances together; the others are told 4008, and the instances have counted them."""
    refused = [await metric(lab, number, "chat_connections_refused_user_total") for number in (0, 1)]
    outcomes = Counter(
        await asyncio.gather(*(tries.one("ann", number % 2, f"192.0.2.{number}") for number in range(30)))
    )
    assert outcomes == {"connected": 5, 4008: 25}
    refused_now = [await metric(lab, number, "chat_connections_refused_user_total") for number in (0, 1)]
    assert sum(refused_now) - sum(refused) == 25
    await tries.open.pop().close()
    await tries.until_connected("ann", 1, "192.0.2.99", within=10)
    assert await tries.one("ann", 0, "192.0.2.98") == 4008


async def test_an_address_counts_as_the_proxy_saw_it(tries: Tries) -> None:
    """The right-most hop that is no trusted proxy: what a client wrote before it is nobody's address."""
    ways = ["{spoofed}, 198.51.100.7", "{spoofed},198.51.100.7, 10.1.2.3", "198.51.100.7:1234"]
    came = [
        await tries.one(f"user-{number}", number % 2, ways[number % 3].format(spoofed=f"203.0.113.{number}"))
        for number in range(8)
    ]
    assert came == ["connected"] * 8
    assert await tries.one("user-8", 0, "203.0.113.8", "198.51.100.7") == 4008
    assert await tries.one("user-8", 1, "203.0.113.8, 198.51.100.7, 10.9.9.9") == 4008
    assert await tries.one("user-8", 1, "198.51.100.8") == "connected"


async def test_messages_count_over_both_instances_and_both_doors(lab: Lab) -> None:
    """Ten in a window: then ``rate_limited`` with ``retry_after``, and 429 with ``Retry-After``. A retry is free."""
    first, second = await lab.client("bob", instance=0), await lab.client("bob", instance=1)
    for number in range(5):
        await first.send(f"{number}", client_message_id=f"bob-{number}")
        await first.send(f"{number}", client_message_id=f"bob-{number}")
        await second.send(f"{number}")
    await second.send_frame({"type": "text", "content": "one more", "client_message_id": "more"})
    error = await second.expect("error", code="rate_limited", client_message_id="more")
    assert 0 < error["data"]["retry_after"] <= 620
    http = await lab.http("bob", instance=0)
    path = f"/api/v1/conversations/{first.conversation_id}/messages"
    answer = await http.post(path, json={"type": "text", "content": "one more"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 621
    known = await http.post(path, json={"type": "text", "content": "0", "client_message_id": "bob-0"})
    assert (known.status_code, known.json()["seq"]) == (201, 1)
    await first.close()
    await second.close()


async def test_a_killed_instance_gives_its_slots_back_within_a_lease(lab: Lab, tries: Tries) -> None:
    """Nobody released them, and nobody is locked out."""
    for number in range(5):
        assert await tries.one("ann", 1, f"192.0.2.{number}") == "connected"
    assert await tries.one("ann", 0, "192.0.2.9") == 4008
    await lab.kill(1)
    await tries.until_connected("ann", 0, "192.0.2.9", within=LEASE_S + 10)
    await lab.restart(1)


async def test_without_redis_each_instance_counts_for_itself(lab: Lab, tries: Tries) -> None:
    """Sends go on, nobody is locked out, nobody is without a limit, and the metrics say so. Then both agree again."""
    writer = await lab.client("user-9", instance=0)
    await lab.redis.cut()
    try:
        outcomes = Counter([await tries.one("ann", 0, f"192.0.2.{number}") for number in range(7)])
        assert outcomes == {"connected": 5, 4008: 2}
        await writer.send("still here")
        assert await metric(lab, 0, "chat_connections_unshared_total") >= 5
        assert await metric(lab, 0, "chat_messages_unshared_total") >= 1
    finally:
        await lab.redis.restore()
    async with asyncio.timeout(20):
        while await tries.one("ann", 1, "192.0.2.50") == "connected":
            await tries.open.pop().close()
    await writer.close()
