"""One visit: a system is started, worked, counted, stopped."""

import asyncio
import sys
import time
from dataclasses import dataclass, field

from benchmarks.counters import Counters
from benchmarks.figures import Measured, quantile
from benchmarks.generator import Generator
from benchmarks.plan import Plan, Scenario, Visit
from benchmarks.systems import Running, System
from course.errors import UserError

IDLE_ROOM = 10
SETTLE_S, SETTLE_DEADLINE_S = 0.25, 10.0
IDLE_SHARE = 0.1
"""Of one core, all servers together: below it they count as idle."""


@dataclass
class Results:
    """All that was measured. ``idle`` is KiB per connection by system; ``problems`` are lines for people."""

    measured: list[Measured] = field(default_factory=list)
    idle: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def visit(plan: Plan, what: Visit, system: System, results: Results, python: str = sys.executable) -> None:
    """Adds to ``results``. Raises ``UserError`` when the system does not work."""
    instances = what.scenario.instances if what.scenario else 2
    async with system.start(system, instances, python) as running:
        counters = Counters(running.pids, running.redis_url)
        try:
            if what.scenario is not None:
                found = await _measure(what.round, plan, what.scenario, system, running, counters)
                results.measured.append(found)
            elif plan.idle is not None:
                results.idle.setdefault(system.key, []).append(await _idle(plan.idle, system, running, counters))
        finally:
            counters.close()


async def _measure(
    number: int, plan: Plan, scenario: Scenario, system: System, running: Running, counters: Counters
) -> Measured:
    generator = _generator(scenario, system)
    try:
        await generator.connect(await running.open(scenario))
        await settle(counters)
        await generator.warm_up(plan.warm_up_s)
        messages, deliveries = generator.totals()
        before, own, started = counters.read(0), time.process_time(), time.perf_counter()
        await generator.run(plan.seconds)
        took, own = time.perf_counter() - started, time.process_time() - own
        used = counters.read(1) - before
        messages, deliveries = (
            now - then for now, then in zip(generator.totals(), (messages, deliveries), strict=True)
        )
        if not deliveries:
            raise UserError("no message reached anybody in time", 1)
        latencies, each = generator.latencies(), deliveries
        return Measured(
            system=system.key, round=number, scenario=scenario, seconds=took, messages=messages, deliveries=deliveries,
            server_us=used.server_us / each, redis_us=used.redis_us / each, generator_us=1e6 * own / each,
            p50_ms=quantile(latencies, 0.5), p99_ms=quantile(latencies, 0.99),
            redis_commands=used.redis_commands / max(1, messages), redis_bytes=used.redis_bytes / max(1, messages),
            faults=generator.faults(),
        )  # fmt: skip
    finally:
        generator.close()


async def settle(counters: Counters) -> None:
    """Until the servers are done with who came and who went, or take too long."""
    end = time.perf_counter() + SETTLE_DEADLINE_S
    before = counters.server_us()
    while time.perf_counter() < end:
        await asyncio.sleep(SETTLE_S)
        now = counters.server_us()
        if now - before < IDLE_SHARE * SETTLE_S * 1e6:
            return
        before = now


async def _idle(sizes: tuple[int, int], system: System, running: Running, counters: Counters) -> float:
    """KiB that each connection after the first ones adds, over all instances."""
    open_ones = []
    try:
        memory = []
        for size in sizes:
            scenario = Scenario(size // IDLE_ROOM, IDLE_ROOM, 1)
            generator = _generator(scenario, system)
            open_ones.append(generator)
            await generator.connect(await running.open(scenario))
            await settle(counters)
            memory.append(counters.memory())
        added = sum(len(room.members) for room in open_ones[-1].rooms)
        return (memory[1] - memory[0]) / 1024 / added
    finally:
        for generator in open_ones:
            generator.close()


def _generator(scenario: Scenario, system: System) -> Generator:
    return Generator(scenario, system.compose, hears_itself=system.hears_itself, ack=system.ack)
