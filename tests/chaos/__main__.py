"""``python -m tests.chaos [--seed N …]``: the long run, from the command line."""

import argparse
import asyncio
import sys

from rich.console import Console
from rich.progress import Progress

from tests.chaos.run import Plan, Report, run_chaos
from tests.chaos.target import PlainTarget, ReferenceTarget

console = Console(highlight=False)


async def play(plan: Plan, *, control: bool, database_url: str | None) -> Report:
    """One run with a progress bar."""
    target = PlainTarget(plan.instances) if control else ReferenceTarget(plan.instances, database_url=database_url)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task(f"seed {plan.seed}", total=plan.messages)
        async with target:
            return await run_chaos(target, plan, on_progress=lambda acked: progress.update(bar, completed=acked))


def main() -> int:
    """Runs each seed; 1 if one of them broke a promise (or if the control broke none)."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3], help="one run each")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="how often each kind of fault comes")
    parser.add_argument("--per-second", type=float, default=100, help="sends, all clients together")
    parser.add_argument("--database-url", help="a database other than an embedded SQLite; it must be empty")
    parser.add_argument("--control", action="store_true", help="plain pub/sub instead of the reference server")
    given = vars(parser.parse_args())
    seeds, control, database_url = given.pop("seed"), given.pop("control"), given.pop("database_url")
    worst = 0
    for seed in seeds:
        report = asyncio.run(play(Plan(seed=seed, **given), control=control, database_url=database_url))
        console.print(str(report))
        worst |= report.is_clean if control else not report.is_clean
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
