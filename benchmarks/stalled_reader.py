"""Does one reader who stops harm the others? ``python -m benchmarks.stalled_reader [--rounds N] [--json FILE]``

Two instances; one sender on the first, twenty readers on the second, and one more member there, who reads, or stops
reading, or leaves at once. Measured are the others' delays from sending to receiving, and the memory of their instance.
Who stops is let go soon, and is then one who is away, like the third: for each message somebody has to decide whether
they get a push. The kinds of rounds take turns, so that whatever else the machine does meets all.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from course import Lab
from course.workbench.sign_in import open_socket

READ, STALL, LEAVE = "all read", "one stalls", "one is away"
READERS = 20
MESSAGES = 600
PER_SECOND = 60
TEXT = "x" * 20_000
"""Large enough that the network's own buffers are full long before the round ends."""


@dataclass
class Round:
    """Delays in milliseconds, memory in MiB above that at the round's start."""

    delays: list[float]
    memory: float
    closed_with: int | None


async def play(lab: Lab, name: str, kind: str) -> Round:
    """One round, in a conversation of its own."""
    readers = [await member(lab, name, f"reader-{n}", 1) for n in range(READERS)]
    staller = await member(lab, name, "staller", 1)
    sender = await member(lab, name, "sender", 0)
    if kind == STALL:
        staller.transport.pause_reading()
    elif kind == LEAVE:
        await staller.close()
    process = psutil.Process(lab.pid(1))
    before = process.memory_info().rss
    sent_at: dict[str, float] = {}
    reading = [asyncio.create_task(read(one, sent_at)) for one in readers]
    others = [asyncio.create_task(drain(sender)), asyncio.create_task(drain(staller))]
    most = before
    started = time.perf_counter()
    for number in range(MESSAGES):
        await asyncio.sleep(max(0, started + number / PER_SECOND - time.perf_counter()))
        message_id = f"{name}-{number}"  # a sender's own, in all conversations
        sent_at[message_id] = time.perf_counter()
        await sender.send(
            msgspec.json.encode({"type": "text", "content": TEXT, "client_message_id": message_id}).decode()
        )
        most = max(most, process.memory_info().rss) if number % 20 == 0 else most
    delays = [delay for one in await asyncio.gather(*reading) for delay in one]
    staller.transport.resume_reading()
    for one in (*readers, sender, staller):
        await one.close()
    await asyncio.gather(*others)
    return Round(delays, (most - before) / 2**20, staller.close_code)


async def member(lab: Lab, conversation: str, user: str, instance: int) -> ClientConnection:
    """A bare socket: this program must cost less than what it measures."""
    conversation_id = await lab.conversation(conversation, user)
    websocket = await open_socket(
        lab.ws_url(instance, conversation_id), "subprotocol", await lab.token(user), {"device_id": user}
    )
    await websocket.recv()
    return websocket


async def read(websocket: ClientConnection, sent_at: dict[str, float]) -> list[float]:
    """The delays of all messages, in milliseconds."""
    delays: list[float] = []
    async with asyncio.timeout(MESSAGES / PER_SECOND + 30):
        while len(delays) < MESSAGES:
            frame = msgspec.json.decode(await websocket.recv())
            if frame["action"] == "new_message":
                delays.append(1000 * (time.perf_counter() - sent_at[frame["data"]["client_message_id"]]))
    # As clients do. Otherwise the server would push to them, during the next round, what they have read in this one.
    await websocket.send(msgspec.json.encode({"type": "delivered", "seq": MESSAGES}).decode())
    return delays


async def drain(websocket: ClientConnection) -> None:
    """Reads and forgets."""
    try:
        async for _ in websocket:
            pass
    except ConnectionClosed:
        pass


async def run(rounds: int) -> dict[str, dict[str, Any]]:
    """All rounds, and a table. Returns what it shows: medians of the rounds, by kind."""
    found: dict[str, list[Round]] = {READ: [], STALL: [], LEAVE: []}
    async with Lab(instances=2, traced=False) as lab:
        await play(lab, "warm-up", READ)
        for number in track(range(rounds), "rounds"):
            for kind, played in found.items():
                played.append(await play(lab, f"{kind} {number}", kind))
    shown = {kind: summary(played) for kind, played in found.items()}
    table = Table("", "p50 ms", "p99 ms", "MiB more", "the staller was closed with", title="The others' delays")
    for kind, one in shown.items():
        codes = ", ".join(map(str, one["closed_with"]))
        table.add_row(kind, f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}", f"{one['mib']:.1f}", codes)
    Console().print(table)
    return shown


def summary(played: list[Round]) -> dict[str, Any]:
    """Medians of these rounds."""
    quantiles = [statistics.quantiles(one.delays, n=100) for one in played]
    return {
        "p50_ms": round(statistics.median(one[49] for one in quantiles), 2),
        "p99_ms": round(statistics.median(one[98] for one in quantiles), 2),
        "mib": round(statistics.median(one.memory for one in played), 1),
        "closed_with": sorted({one.closed_with for one in played}, key=str),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    measured = asyncio.run(run(arguments.rounds))
    if arguments.json is not None:
        document = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "kinds": measured}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
