"""``check("1.1")`` in a notebook: points, the property that fails, the smallest case, where to get a hint."""

import importlib
import json
import os
import random
from pathlib import Path
from typing import Any

from course.checks.case import Check, Drive, first_failure, starts_servers
from course.checks.drive import drive_in_thread
from course.manifest import CheckInfo, load

VISIBLE_SEED = 1
STARTED_IN = Path.cwd()
"""Where a graded notebook finds its cases; its own code may go elsewhere."""
UNFINISHED = NotImplementedError.__name__
NBGRADER = "NBGRADER_EXECUTION"
"""Set by nbgrader while it runs a notebook: there, a check that fails has to raise."""


class CheckFailed(AssertionError):
    """A check brought no points; only raised where nbgrader counts them."""


def check(check_id: str, subject: Any = None) -> None:
    """Runs one check on what this notebook defines and prints the result.

    Without ``subject`` it takes what has the exercise's name in the notebook. Raises ``UserError`` for
    an id that is not in the manifest; under nbgrader ``CheckFailed`` when it brings no points.
    """
    exercise, info = load().find(check_id)
    if subject is None:
        subject = _from_notebook(exercise.subject)
    if subject is None:
        good, says = False, f"0 of {info.points} points. Define {exercise.subject} first: run its cell."
    else:
        good, says = _verdict(info, find_check(check_id), subject)
    text = f"{'✓' if good else '✗'} {check_id} {info.title}: {says}"
    if not good and os.environ.get(NBGRADER):
        raise CheckFailed(text)
    print(text)  # noqa: T201 - that is what a learner asks for


def find_check(check_id: str) -> Check:
    """The cases, driver and judge of a check."""
    exercise, _ = load().find(check_id)
    found: Check = importlib.import_module(f"course.judges.{exercise.module}").CHECKS[check_id]
    return found


def find_driver(check_id: str) -> Drive:
    """Only the driver: all that a graded notebook's own process gets to see."""
    exercise, _ = load().find(check_id)
    found: Drive = importlib.import_module(f"course.checks.{exercise.module}").DRIVERS[check_id]
    return found


def visible_cases(found: Check) -> list[Any]:
    """The cases that a learner's own check tries: always the same."""
    return found.cases(random.Random(VISIBLE_SEED))  # noqa: S311 - repeatable on purpose


def hint(check_id: str, number: int = 1) -> None:
    """Prints one of a check's hints. The first says least."""
    _, info = load().find(check_id)
    number = min(max(number, 1), len(info.hints))
    print(f"Hint {number} of {len(info.hints)} for {check_id}: {info.hints[number - 1]}")  # noqa: T201


def drive_for_grading(check_id: str, subject: Any) -> None:
    """Writes down what ``subject`` does in the cases of this run. Another process judges it."""
    job = json.loads((STARTED_IN / f"cases-{check_id}.json").read_text())
    seen = None if subject is None else drive_in_thread(find_driver(check_id), subject, job["cases"])
    evidence = {"nonce": job["nonce"], "check": check_id, "observations": seen}
    (STARTED_IN / f"evidence-{check_id}.json").write_text(json.dumps(evidence, default=repr))


def _verdict(info: CheckInfo, found: Check, subject: Any) -> tuple[bool, str]:
    none = f"0 of {info.points} points"
    unfinished = f"{none}. Not finished yet: a NotImplementedError is still there to replace."
    if starts_servers(found.drive) and _is_unfinished(info.id, subject):
        return False, unfinished
    cases = visible_cases(found)
    wrong = first_failure(found, cases, drive_in_thread(found.drive, subject, cases))
    if wrong is None:
        others = found.cases(random.Random(VISIBLE_SEED + 1)) != cases  # noqa: S311 - only to see whether they vary
        tried = f"{len(cases)} case{'s' * (len(cases) > 1)}{'; grading tries others, too' * others}"
        return True, f"{info.points} of {info.points} points ({tried})"
    if UNFINISHED in wrong.failure.what:
        return False, unfinished
    lines = [
        none,
        f"  {wrong.failure.what}",
        f"  smallest case: {wrong.failure.steps}",
        f"  {load().advice(info.id, wrong.failure.misconception)}",
        f'  stuck? hint("{info.id}")',
    ]
    return False, "\n".join(line for line in lines if line.strip() not in ("", "smallest case:"))


def _is_unfinished(check_id: str, subject: Any) -> bool:
    """Whether it is still the stub, by the smallest cases of a check that needs no servers: no need to start any."""
    exercise, _ = load().find(check_id)
    quick = next(found for one in exercise.checks if not starts_servers((found := find_check(one.id)).drive))
    cases = visible_cases(quick)[:5]
    wrong = first_failure(quick, cases, drive_in_thread(quick.drive, subject, cases))
    return wrong is not None and UNFINISHED in wrong.failure.what


def _from_notebook(name: str) -> Any:
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only in a notebook

    shell = get_ipython()
    return shell.user_ns.get(name) if shell is not None else None
