"""A pytest plugin: reports which cells of a graded notebook ran as a plain pass.

It writes to a pipe that only this process has. The kernel, where the learner's code runs, can not reach it.
"""

import json
import os
from typing import Any

import pytest

PIPE = "BREAKWIRE_RESULTS_FD"
_outcomes: list[tuple[str, str]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each item with its cell's ``grade_id``: cell numbers change, ids do not."""
    for item in items:
        cell: Any = getattr(item, "cell", None)
        name = cell.metadata.get("nbgrader", {}).get("grade_id") if cell is not None else None
        item.user_properties.append(("grade_id", name or ""))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes how a cell ended. Expected failures and the like are not a plain pass."""
    if report.when != "call" and report.passed:
        return
    name = dict(report.user_properties).get("grade_id", "")
    plain = report.outcome if not hasattr(report, "wasxfail") else "xfail"
    _outcomes.append((str(name), plain))


def pytest_sessionfinish() -> None:
    """Hands the outcomes over."""
    with os.fdopen(int(os.environ[PIPE]), "w") as pipe:
        json.dump(_outcomes, pipe)
