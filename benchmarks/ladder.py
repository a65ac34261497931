"""The ladder of chapter 7, measured again: ``python -m benchmarks.ladder [--out FILE]``

It runs the cells of the notebook that measure it, so there is one ladder and not two.
"""

import argparse
import ast
import asyncio
import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.report import this_machine
from course.errors import UserError

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "07_performance.ipynb"
RESULTS = Path(__file__).resolve().parent / "results" / "ladder.json"
NEEDED = ("def make_sender(", "async def cost_per_delivery(", "async def cost_of_ours(")
"""What the cells define by which they are known. Before them the imports of the first one are run."""


def cells(notebook: Path = NOTEBOOK) -> Iterator[str]:
    """The source of what must run, in order. Raises ``UserError`` when the chapter has it no more."""
    sources = [
        "".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    imports = [one for one in ast.parse(sources[0]).body if isinstance(one, ast.Import | ast.ImportFrom)]
    yield "\n".join(map(ast.unparse, imports))
    for name in NEEDED:
        found = [source for source in sources if name in source]
        if len(found) != 1:
            raise UserError(f"chapter 7 has {len(found)} cells with {name!r}; the ladder needs one", 1)
        yield found[0]


async def measure(notebook: Path = NOTEBOOK) -> dict[str, float]:
    """Step, as the chapter names it, → µs of processor time for one delivery; the first is the slowest way."""
    mpl.use("Agg")  # the last cell draws
    space: dict[str, Any] = {"__name__": "__main__"}  # what is defined there travels to other processes by value
    for source in cells(notebook):
        code = compile(source, str(notebook), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        ran = eval(code, space)  # noqa: S307 - the course's own notebook
        if inspect.isawaitable(ran):
            await ran
    return {space["names"][step]: round(cost, 2) for step, cost in space["ladder"].items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    out: Path = parser.parse_args().out
    measured = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": this_machine(),
        "us_per_delivery": asyncio.run(measure()),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
