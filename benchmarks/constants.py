"""What each part of a large system costs, measured on a small one. ``python -m benchmarks.constants [--only PART]``

Five minutes; the JSON is what ``python -m benchmarks.estimate`` reckons with. Each part is written when it is
measured, so one that was disturbed can be measured again by itself.
"""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import marginal, marginal_messages
from benchmarks.command import loop_runner
from benchmarks.estimate import RESULTS
from benchmarks.marginal import Found, Step
from benchmarks.needs import versions
from benchmarks.report import this_machine
from benchmarks.scaling_text import MEMORY, ROWS
from benchmarks.systems import SYSTEMS
from course.errors import UserError

Document = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """``measure`` is given what was found before: some take off what others have found."""

    name: str
    what: str
    steps: int
    measure: Callable[[Step, Found], Awaitable[Found]]


PARTS = (
    Part("alone", "instances alone", marginal.BOARD_STEPS, lambda step, _: marginal.boards(step)),
    Part("standing", "connections that stand", marginal.STANDING_STEPS, lambda step, _: marginal.standing(step)),
    Part("coming", "connections that come and go", marginal.COMING_STEPS, lambda step, _: marginal.coming(step)),
    Part(
        "messages", "messages where many speak", marginal_messages.LIVELY_STEPS,
        lambda step, found: marginal_messages.lively(step, found["instance_us"]),
    ),
    Part("quiet", "messages where few speak", marginal_messages.QUIET_STEPS, marginal_messages.quiet),
)  # fmt: skip
CHECK = Part(
    "check", "a run to check with", marginal_messages.CHECK_STEPS, lambda step, _: marginal_messages.check(step)
)


async def measure(parts: list[Part], document: Document, save: Callable[[Document], None], console: Console) -> None:
    """Adds these parts to the document, and saves it after each. Raises ``UserError``."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    document |= {"machine": this_machine(), "versions": versions(SYSTEMS[0], "")}
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(part.steps for part in parts))
        for part in parts:
            progress.update(task, description=part.what)
            if not console.is_terminal:
                console.print(part.what)  # no bar is drawn there
            found = await part.measure(lambda: progress.advance(task), document["constants"])
            document["check" if part is CHECK else "constants"] |= {
                name: float(f"{value:.4g}") for name, value in found.items()
            }
            document["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            save(document)


def table(constants: Found) -> Table:
    """One row each."""
    shown = Table("", "one more costs", "", title="Breakwire, marginal costs")
    for name, value in constants.items():
        what, unit = ROWS.get(name, (name, ""))
        shown.add_row(what, f"{value / (1024 if unit == MEMORY else 1):.4g}", unit)
    return shown


def chosen(only: list[str]) -> list[Part]:
    """These parts in their order; all without a name."""
    return [part for part in (*PARTS, CHECK) if not only or part.name in only]


def run(only: list[str], out: Path) -> None:
    """Measures, writes, shows. With ``only`` the other parts stay as they are in the file. Raises ``UserError``."""
    document: Document = {"constants": {}, "check": {}}
    if only and out.exists():
        document |= json.loads(out.read_text())
    out.parent.mkdir(parents=True, exist_ok=True)
    console = Console()

    def save(document: Document) -> None:
        out.write_text(json.dumps(document, indent=1) + "\n")

    loop_runner()(measure(chosen(only), document, save, console))
    console.print(table(document["constants"]))
    console.print(f"written: {out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    names = [part.name for part in (*PARTS, CHECK)]
    parser.add_argument("--only", action="append", default=[], choices=names, help="may be given again")
    arguments = parser.parse_args()
    try:
        run(arguments.only, arguments.out)
    except UserError as error:
        sys.exit(error.message)
