"""A million connections, reckoned from what was measured: ``python -m benchmarks.estimate [--write]``

Prints the estimate; with ``--write`` it writes the parts of ``docs/scaling.md`` between its marks, and the picture.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.marked import rewritten
from benchmarks.scaling import Workload
from benchmarks.scaling_plot import picture
from benchmarks.scaling_text import check_text, constants_table, estimate_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "constants.json"
PAGE = ROOT / "docs" / "scaling.md"
PICTURE = ROOT / "docs" / "scaling.svg"
LOAD = Workload()


def parts(found: dict[str, Any]) -> dict[str, str]:
    """Name of each written part of the page → what it says."""
    return {
        "estimate: constants": constants_table(found),
        "estimate: a million": estimate_text(found, LOAD),
        "estimate: check": check_text(found),
    }


def written(page: str, found: dict[str, Any]) -> str:
    """The page with these figures. Raises ``UserError`` where it lacks a mark."""
    for name, text in parts(found).items():
        page = rewritten(page, name, text)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--constants", type=Path, default=RESULTS, help="what `python -m benchmarks.constants` wrote")
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md")
    arguments = parser.parse_args()
    measured = json.loads(arguments.constants.read_text())
    if arguments.write:
        PAGE.write_text(written(PAGE.read_text(), measured))
        picture(measured, LOAD).savefig(PICTURE)
    else:
        Console().print(Markdown("\n\n".join(parts(measured).values())))
