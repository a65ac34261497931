"""Two instances over one PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from course import Lab
from course.workbench.postgres_server import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEALED_WITHIN_S = 5.0
RETRIES = 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresServer]:
    """One of our own, to be restarted."""
    async with PostgresServer() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(server: PostgresServer) -> AsyncIterator[Lab]:
    async with Lab(instances=2, database_url=await server.create_database()) as started:
        yield started


async def test_everybody_gets_everything_once_in_order(lab: Lab) -> None:
    """Four writers on two instances at the same time: every reader sees each message once, in the one order."""
    writers = [await lab.client(f"writer-{n}", instance=n % 2, conversation="crowd") for n in range(4)]
    readers = [await lab.client(f"reader-{n}", instance=n, conversation="crowd") for n in range(2)]

    async def write(number: int) -> list[int]:
        return [(await writers[number].send(f"{number}-{turn}")).seq for turn in range(50)]

    acks = await asyncio.gather(*(write(number) for number in range(4)))
    assert sorted(seq for seqs in acks for seq in seqs) == list(range(1, 201))
    for reader in readers:
        await reader.expect("new_message", seq=200)
        assert [frame["data"]["seq"] for frame in reader.received("new_message")] == list(range(1, 201))
    assert readers[0].texts == readers[1].texts
    for client in (*writers, *readers):
        await client.close()


async def test_simultaneous_retries_are_one_message(lab: Lab) -> None:
    """Fifty requests with one ``client_message_id``, half of them to each instance: one message, one answer."""
    conversation = await lab.conversation("retries", "alice", "bob")
    bob = await lab.client("bob", instance=1, conversation="retries")
    https = [await lab.http("alice", instance=number) for number in range(2)]
    path = f"/api/v1/conversations/{conversation}/messages"
    body = {"content": "once", "client_message_id": "c-1"}
    answers = await asyncio.gather(*(https[number % 2].post(path, json=body) for number in range(RETRIES)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert {answer.json()["seq"] for answer in answers} == {1}
    await https[0].post(path, json={"content": "next"})
    await bob.expect("new_message", text="next")
    assert bob.texts == ["once", "next"]
    await bob.close()


async def test_a_restart_of_postgres_heals(lab: Lab, server: PostgresServer) -> None:
    """While it is away a message is refused at once; afterwards both instances go on, and what had an ack is there."""
    alice = await lab.client("alice", instance=0, conversation="restart")
    bob = await lab.client("bob", instance=1, conversation="restart")
    acked = [(await alice.send(f"before {number}")).id for number in range(20)]
    path = f"/api/v1/conversations/{alice.conversation_id}/messages"
    https = [await lab.http("alice", instance=number) for number in range(2)]
    await server.crash()
    for http in https:
        assert (await http.post(path, json={"content": "lost"})).status_code == 503
    await server.restart()
    for number, http in enumerate(https):
        acked.append(await _healed(http, path, f"after {number}"))
    for http in https:
        page = (await http.get(path, params={"after_seq": 0})).json()
        assert [message["id"] for message in page] == acked
    await bob.expect("new_message", seq=len(acked))
    assert alice.is_open
    assert bob.is_open, "a database that is away costs nobody their connection"
    for client in (alice, bob):
        await client.close()


async def _healed(http: httpx2.AsyncClient, path: str, text: str) -> str:
    """The id of the message, which the server takes as soon as it can."""
    async with asyncio.timeout(HEALED_WITHIN_S):
        while True:
            answer = await http.post(path, json={"content": text, "client_message_id": text})
            if answer.status_code == 201:
                return str(answer.json()["id"])
