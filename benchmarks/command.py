"""``course bench``: the same work on several systems, side by side. See the README here."""

import asyncio
import dataclasses
import random
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import report
from benchmarks.figures import Faults, Measured
from benchmarks.measure import Results, visit
from benchmarks.needs import missing, versions
from benchmarks.plan import FULL, QUICK, Plan, visits
from benchmarks.systems import SYSTEMS, System
from course.errors import UserError

BUSY = 0.95
"""Of one core: a generator that uses more is what limited the others, so people are told."""


def run(
    *,
    quick: bool = False,
    rounds: int | None = None,
    only: tuple[str, ...] = (),
    out: Path = Path(".breakwire/bench"),
    seed: int | None = None,
    python: str = sys.executable,
    plan: Plan | None = None,
) -> int:
    """Measures, shows and writes. Returns 0, or 1 when our own server failed, or mixed up deliveries."""
    console = Console()
    plan = plan or (QUICK if quick else FULL)
    if rounds is not None:
        plan = dataclasses.replace(plan, rounds=rounds)
    seed = seed if seed is not None else random.randrange(10_000)  # noqa: S311 - an order, not a secret
    systems = choose(only, python, console)
    results, machine = Results(), report.this_machine()
    if machine["load"] is not None and machine["load"] > (machine["cores"] or 1) / 2:
        console.print(
            f"This machine is busy (load {machine['load']}): do not quote what is measured now.", style="bold red"
        )
    loop_runner()(_measure_all(plan, systems, results, seed, python, console))
    console.print(report.table(plan, systems, results))
    for line in results.problems + busy_generators(results.measured):
        console.print(f"[bold red]{line}[/]", highlight=False)
    found = report.document(plan, systems, results, {one.key: versions(one, python) for one in systems}, seed, machine)
    for path in report.write(out, found, report.plot(plan, systems, results)):
        console.print(f"written: {path}", highlight=False, soft_wrap=True)
    return 1 if any(line.startswith(f"{SYSTEMS[0].label},") for line in results.problems) else 0


def choose(only: tuple[str, ...], python: str, console: Console) -> list[System]:
    """Those that were asked for and can run here; says which can not. Raises ``UserError``."""
    known = {one.key: one for one in SYSTEMS}
    if unknown := [name for name in only if name not in known]:
        raise UserError(f"there is no system {unknown[0]!r}; there are {', '.join(known)}")
    chosen = []
    for system in SYSTEMS:
        if only and system.key not in only:
            continue
        if (reason := missing(system, python)) is not None:
            console.print(f"left out: {reason}", highlight=False, soft_wrap=True)
        else:
            chosen.append(system)
    if not chosen:
        raise UserError("nothing is left to measure")
    return chosen


def busy_generators(measured: list[Measured]) -> list[str]:
    """A line for each measurement in which this process was what limited the others."""
    return [
        f"{one.system}, {one.scenario.name}, round {one.round + 1}: the generator was busy all the time; "
        "latencies are its own"
        for one in measured
        if one.generator_us * one.deliveries > BUSY * one.seconds * 1e6
    ]


async def _measure_all(
    plan: Plan, systems: list[System], results: Results, seed: int, python: str, console: Console
) -> None:
    by_key = {one.key: one for one in systems}
    todo = visits(plan, list(by_key), seed)
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for what in progress.track(todo, task_id=(task := progress.add_task(""))):
            system = by_key[what.system]
            name = f"{system.label}, {what.scenario.name if what.scenario else 'idle'}"
            progress.update(task, description=name)
            try:
                await visit(plan, what, system, results, python)
            except UserError as error:
                results.problems.append(f"{name}, round {what.round + 1}: {error.message}")
    results.problems += wrong_deliveries(results.measured, by_key)


def wrong_deliveries(measured: list[Measured], systems: dict[str, System]) -> list[str]:
    """A line for each measurement that lost, doubled or mixed up a message."""
    return [
        f"{systems[one.system].label}, {one.scenario.name}, round {one.round + 1}: {one.faults}"
        for one in measured
        if one.faults != Faults()
    ]


def loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop's where it is: the generator costs half as much with it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.run
    return uvloop.run
