"""How many messages are stored and acked a second? ``python -m benchmarks.durable_sends [--clients N] [--seconds S]``

Two instances over one SQLite file, with every promise on. The clients are in conversations of two, one on each
instance; each sends its next message when it has the ack of the last one.
"""

import argparse
import asyncio
import sys
import time

from rich.console import Console
from rich.table import Table

from benchmarks.counters import Counters, Usage
from benchmarks.figures import Faults, faults, quantile, received
from benchmarks.generator import TEXT_BYTES
from benchmarks.member import Entry, Member
from benchmarks.plan import Scenario
from benchmarks.systems import SYSTEMS

OURS = SYSTEMS[0]
ACK = OURS.ack or b""
WARM_UP_S = 1.0
FINISH_DEADLINE_S = 30.0


class Client(Member):
    """One of a pair."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, lambda _before, _now: None)
        self.sent = 0
        self.latencies: list[float] = []
        """From sending to the ack, in ms."""
        self.is_done = asyncio.Event()
        self._ends_at = 0.0
        self._sent_at = 0.0
        self._tail = b""  # an ack may be cut in two by a read's end

    def start(self, ends_at: float) -> None:
        """Sends, and goes on until then."""
        self._ends_at = ends_at
        self.is_done.clear()
        self._next()

    def data_received(self, data: bytes) -> None:
        """An ack is followed by the next message."""
        super().data_received(data)
        seen = self._tail + data
        self._tail = seen[1 - len(ACK) :]
        if ACK not in seen:
            return
        self.latencies.append(1000 * (time.perf_counter() - self._sent_at))
        if time.perf_counter() < self._ends_at:
            self._next()
        else:
            self.is_done.set()

    def faults(self, other: "Client") -> Faults:
        """What this one got of the other's messages."""
        return faults(received(self.chunks), other.sent)

    def _next(self) -> None:
        text = f"#{self.sent:08d}#".ljust(TEXT_BYTES, "x")
        self.sent += 1
        self._sent_at = time.perf_counter()
        self.send(OURS.compose(text))


async def run(clients: int, seconds: float) -> None:
    """Starts the servers, works them, and prints what they did."""
    async with OURS.start(OURS, 2, sys.executable) as running:
        entry = await running.open(Scenario(rooms=clients // 2, members=1, outstanding=1))
        pairs = [(await connected(entry(room, 0)), await connected(entry(room, 1))) for room in range(clients // 2)]
        everybody = [client for pair in pairs for client in pair]
        await work(everybody, WARM_UP_S)
        for client in everybody:
            client.latencies.clear()
        counters = Counters(running.pids, running.redis_url)
        before, own, started = counters.read(0), time.process_time(), time.perf_counter()
        await work(everybody, seconds)
        took, own = time.perf_counter() - started, time.process_time() - own
        used = counters.read(1) - before
        counters.close()
        await heard(pairs)
        show(everybody, took, used, own)
        found = sum((here.faults(there) + there.faults(here) for here, there in pairs), Faults())
        for client in everybody:
            client.close()
    Console().print(f"lost, doubled or out of order: {found}")


async def connected(entry: Entry) -> Client:
    """One client, who is in."""
    client = Client(entry)
    await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", entry.port)
    await client.joined
    return client


async def work(everybody: list[Client], seconds: float) -> None:
    """All send for that long, and have their last ack at the end."""
    ends_at = time.perf_counter() + seconds
    for client in everybody:
        client.start(ends_at)
    async with asyncio.timeout(seconds + FINISH_DEADLINE_S):
        for client in everybody:
            await client.is_done.wait()


async def heard(pairs: list[tuple[Client, Client]]) -> None:
    """Until each has what the other sent, or nothing comes any more."""
    end = time.perf_counter() + FINISH_DEADLINE_S / 5
    while any(here.count < there.sent or there.count < here.sent for here, there in pairs):
        if time.perf_counter() > end:
            return
        await asyncio.sleep(0.02)


def show(everybody: list[Client], took: float, used: Usage, own: float) -> None:
    """One line."""
    latencies = [latency for client in everybody for latency in client.latencies]
    acks = len(latencies)
    table = Table(title=f"{len(everybody)} clients, each sends at its ack")
    for name in ("acked a second", "server µs an ack", "Redis µs", "generator µs", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(
        f"{acks / took:.0f}",
        f"{used.server_us / acks:.0f}",
        f"{used.redis_us / acks:.0f}",
        f"{1e6 * own / acks:.0f}",
        f"{quantile(latencies, 0.5):.1f}",
        f"{quantile(latencies, 0.99):.1f}",
    )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.clients, arguments.seconds))
