"""``check("1.1")`` in a notebook: points, the property that fails, the smallest case, where to get a hint."""

import asyncio
import contextvars
import importlib
import json
import os
import random
import threading
from pathlib import Path
from typing import Any

from course.checks.case import Check, drive_all, judge_all
from course.manifest import CheckInfo, load

VISIBLE_SEED = 1
GRADING = "BREAKWIRE_GRADING"
"""Names the folder of a grading run: then this process only drives, and somebody else judges."""


def check(check_id: str, subject: Any = None) -> None:
    """Runs one check on what this notebook defines and prints the result.

    Without ``subject`` it takes the class with the exercise's name from the notebook. Raises ``UserError`` for
    an id that is not in the manifest.
    """
    exercise, info = load().find(check_id)
    if subject is None:
        subject = _from_notebook(exercise.subject)
    if (folder := os.environ.get(GRADING)) is not None:
        print(_drive_for_grading(Path(folder), check_id, subject))  # noqa: T201 - the cell's output is compared
    elif subject is None:
        print(f"✗ {check_id} {info.title}: 0 of {info.points} points. Define {exercise.subject} first: run its cell.")  # noqa: T201
    else:
        print(_verdict(info, find_check(check_id), subject))  # noqa: T201 - that is what a learner asks for


def find_check(check_id: str) -> Check:
    """The cases, driver and judge of a check."""
    exercise, _ = load().find(check_id)
    found: Check = importlib.import_module(exercise.module).CHECKS[check_id]
    return found


def hint(check_id: str, number: int = 1) -> None:
    """Prints one of a check's hints. The first says least."""
    _, info = load().find(check_id)
    number = min(max(number, 1), len(info.hints))
    print(f"Hint {number} of {len(info.hints)} for {check_id}: {info.hints[number - 1]}")  # noqa: T201


def _verdict(info: CheckInfo, found: Check, subject: Any) -> str:
    cases = found.cases(random.Random(VISIBLE_SEED))  # noqa: S311 - repeatable on purpose
    failure = judge_all(found, cases, _run(drive_all(found, subject, cases)))
    if failure is None:
        return f"✓ {info.id} {info.title}: {info.points} of {info.points} points ({len(cases)} cases)"
    if _is_untouched(failure.what):
        return f"✗ {info.id} {info.title}: 0 of {info.points} points. Not started yet: replace the NotImplementedError."
    return (
        f"✗ {info.id} {info.title}: 0 of {info.points} points\n"
        f"  {failure.what}\n"
        f"  smallest case: {failure.steps}\n"
        f"  {load().misconceptions[failure.misconception]}\n"
        f'  stuck? hint("{info.id}")'
    )


def _is_untouched(what: str) -> bool:
    return "NotImplementedError" in what


def _drive_for_grading(folder: Path, check_id: str, subject: Any) -> str:
    """Writes down what the subject does in the cases of this run. The grading process judges it."""
    job = json.loads((folder / f"cases-{check_id}.json").read_text())
    observations: list[Any] = [] if subject is None else _run(drive_all(find_check(check_id), subject, job["cases"]))
    evidence = {"nonce": job["nonce"], "check": check_id, "observations": observations}
    (folder / f"evidence-{check_id}.json").write_text(json.dumps(evidence, default=repr))
    return f"{check_id} driven"


def _run(work: Any) -> Any:
    """Runs a coroutine to its end, also inside the notebook's running loop: in a thread with a loop of its own."""
    result: list[Any] = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: result.append(context.run(asyncio.run, work)))
    thread.start()
    thread.join()
    if not result:
        raise RuntimeError("the check did not run to its end")
    return result[0]


def _from_notebook(name: str) -> Any:
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only in a notebook

    shell = get_ipython()
    return shell.user_ns.get(name) if shell is not None else None
