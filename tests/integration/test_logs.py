"""What a real instance tells its operators: lines for machines, each with what it belongs to, and metrics."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from course import Lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-that-nobody-may-log"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=1, settings={"LOG_FORMAT": "json", "MONITOR_INTERVAL_S": 0.2}) as started:
        yield started


async def until_lines(lab: Lab, count: int, **fields: Any) -> list[dict[str, Any]]:
    """Waits until the log has so many lines with these fields. Every line must be one JSON object."""
    async with asyncio.timeout(15):
        while True:
            lines = [json.loads(line) for line in lab.log(0, 10_000).splitlines()]
            found = [line for line in lines if all(line.get(name) == value for name, value in fields.items())]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_every_line_says_what_it_belongs_to(lab: Lab) -> None:
    """A request by its id, the same as in the answer; a connection; a message, through to the push it becomes."""
    conversation_id = await lab.conversation("general", "alice", "bob")
    alice = await lab.client("alice", device_id="phone")
    ack = await alice.send(CANARY)
    http = await lab.http("alice")
    answer = await http.get(f"/api/v1/conversations/{conversation_id}/messages?after_seq=0&{CANARY}=1")
    missing = await http.get(f"/{'x' * 300}%0Aforged?{CANARY}")

    [line] = await until_lines(lab, 1, request_id=answer.headers["x-request-id"], status=200)
    assert (line["method"], line["path"]) == ("GET", f"/api/v1/conversations/{conversation_id}/messages")
    assert line["duration_s"] > 0
    assert line["instance_id"] == "instance-0"
    [line] = await until_lines(lab, 1, request_id=missing.headers["x-request-id"])
    assert (line["status"], len(line["path"])) == (404, 200)

    pushes = await until_lines(lab, 1, message_id=ack.id, logger="reference_impl.adapters.push_console")
    assert "bob" in pushes[0]["message"]
    connected = await until_lines(lab, 1, conversation_id=conversation_id, level="info")
    assert any("connection_id" in line for line in connected)

    assert CANARY not in lab.log(0, 10_000)
    assert await lab.token("alice") not in lab.log(0, 10_000)
    await alice.close()


async def metrics(lab: Lab) -> dict[str, float]:
    """Of the instance, each with its labels."""
    http = await lab.http("operator")
    lines = [line.rsplit(" ", 1) for line in (await http.get("/metrics")).text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_what_goes_through_is_counted(lab: Lab) -> None:
    """Frames both ways, messages by how long they took, errors by code, sockets by how they ended or were refused."""
    before = await metrics(lab)
    ann, ben = [await lab.client(user, conversation="counted") for user in ("ann", "ben")]
    for number in range(5):
        await ann.send(f"message {number}")
    await ben.expect("new_message", text="message 4")
    await ann.send_frame({"type": "nonsense"})
    await ann.expect("error", code="unknown_type")
    await ann.close()
    await ben.close()
    stranger = await lab.connect("ann", instance=0, conversation_id=ann.conversation_id, token="nonsense")
    assert (await stranger.wait_closed())[0] == 4001
    grown = {
        "chat_connections_opened_total": 2,
        "chat_frames_received_total": 6,
        "chat_commit_seconds_count": 5,
        "chat_publish_seconds_count": 5,
        'chat_errors_total{code="unknown_type"}': 1,
        'chat_errors_total{code="unauthenticated"}': 1,
        'chat_connections_refused_total{code="4001"}': 1,
        'chat_connections_closed_total{code="1000"}': 2,
    }
    async with asyncio.timeout(15):
        while True:
            after = await metrics(lab)
            found = {name: after.get(name, 0) - before.get(name, 0) for name in grown}
            if found == grown:
                break
            await asyncio.sleep(0.05)
    assert (
        after["chat_frames_sent_total"] - before["chat_frames_sent_total"] >= 13
    )  # 2 welcomes, 5 acks, 5 copies, 1 error


async def test_an_alert_fires_and_is_over(lab: Lab) -> None:
    """Nearly everything that is asked for is refused: the alert is in the metrics, on the page and in the log."""
    firing = 'chat_alert_firing{alert="error_rate"}'
    http = await lab.http("mallory")
    async with asyncio.timeout(30):
        while (await metrics(lab))[firing] < 1:
            await asyncio.gather(*(http.get("/nowhere") for _ in range(10)))
        [shown] = (await http.get("/api/v1/monitor")).json()["instances"]
        assert [alert["name"] for alert in shown["alerts"]] in ([], ["error_rate"])  # it is as of a second ago
        while (await metrics(lab))[firing] > 0:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)
    [fired] = await until_lines(lab, 1, level="error", logger="reference_impl.services.audit_log")
    assert "alert_error_rate" in fired["message"]
