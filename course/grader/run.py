"""Grades one notebook: runs its checks, again without what never ends, and judges what they brought to light."""

import json
import random
import re
import secrets
import time
from typing import Any, NamedTuple

from course.checks.case import CASE_DEADLINE_S, TIMED_OUT, Failure, Found, deadline_of, first_failure, shown
from course.checks.check import find_check, visible_cases
from course.grader.notebooks import Notebook, code_cell, copied, grade_id, is_answer
from course.grader.process import Limits, Run, run_notebook
from course.grader.submission import Cell, Status
from course.grader.transplant import Answer, answers_for, exercise_of, tampered_cells
from course.manifest import ChapterInfo, CheckInfo, load

DRIVE = "from course.checks.check import drive_for_grading as _drive"
NO_ANSWER = "there is no answer"
AROUND_SERVERS_S = 10.0
"""How much longer than its case a cell with servers may take."""
FILE_NAME = re.compile(r"\((?:\d+\.py|<ipython[^>]*>|<unknown>), ")
WHY = {
    "broken": ("crashed", "Python ended in the middle of it: look for exit(), kill() or a crash"),
    "timeout": ("timeout", "no end in time: is there a loop that never ends?"),
    "died": ("crashed", "Python ended in the middle of it: look for exit(), kill() or a crash"),
    "flooded": ("crashed", "more output than can be read: is there a print in a loop?"),
    "memory": ("crashed", "it used more memory than there is for one notebook"),
    "processes": ("crashed", "it started more processes than one notebook may have"),
}


class NotRun(Exception):
    """The machine could not run a notebook at all; that is nobody's answer's fault."""


class Result(NamedTuple):
    """What one check brought. ``message`` is for the learner."""

    check: CheckInfo
    points: int
    status: Status
    message: str = ""
    misconception: str = ""
    steps: str = ""
    """The smallest failing case; empty when only grading has that case."""
    picture: str = ""
    """The same as SVG, where the check can draw it."""
    code: str = ""
    """What was handed in for it."""


class Job(NamedTuple):
    """What one check is to try in one run. The nonce makes an older or invented result worthless."""

    nonce: str
    cases: list[Any]
    visible: int


def grade(chapter: ChapterInfo, pristine: Notebook, theirs: list[Cell], limits: Limits | None = None) -> list[Result]:
    """The results of all checks of a chapter for one learner's notebook.

    Their answers are spliced into the pristine notebook. The kernel only shows what the answers do in cases it
    did not know before; the verdict is made here. A cell that never ends costs its own points: within the time,
    the others run again without it. Raises ``UserError`` and ``NotRun`` where nothing can be graded at all.
    """
    limits = _with_time_for_servers(limits or Limits(), chapter)
    answers = answers_for(chapter, pristine, theirs)
    results = _before_running(chapter, answers)
    start = time.monotonic()
    while left := [check for check in chapter.checks if check.id not in results]:
        jobs = {check.id: _job(check.id) for check in left}
        parts = {number: answers[number] for number in {_exercise(check) for check in left}}
        orders = {check_id: {"nonce": job.nonce, "cases": job.cases} for check_id, job in jobs.items()}
        run = run_notebook(_prepared(pristine, parts, jobs), orders, limits)
        if run.ended == "broken" and not run.running and not run.done:
            raise NotRun(run.said.strip()[-300:] or "no reason was given")
        results |= _results(left, jobs, run, late=time.monotonic() > start + limits.wall_clock_s)
    changed = tampered_cells(pristine, theirs)
    return [_told(results[check.id], answers[_exercise(check)], changed) for check in chapter.checks]


def advice(result: Result) -> str:
    """What the manifest says about a result's misconception."""
    return load().advice(result.check.id, result.misconception)


def _exercise(check: CheckInfo) -> int:
    return load().find(check.id)[0].number


def _before_running(chapter: ChapterInfo, answers: dict[int, Answer]) -> dict[str, Result]:
    """What needs no run: nothing was written, or what was written is not an answer but an attack."""
    results = {}
    for exercise in chapter.exercises:
        answer = answers[exercise.number]
        for check in exercise.checks:
            if not answer.text.strip():
                results[check.id] = Result(check, 0, "missing", NO_ANSWER)
            elif not answer.started:
                results[check.id] = Result(check, 0, "missing", "not started yet")
            elif answer.reaches:
                says = f"the answer reaches into the grading ({answer.reaches!r}): take that out and hand in again"
                results[check.id] = Result(check, 0, "tampered", says)
    return results


def _with_time_for_servers(limits: Limits, chapter: ChapterInfo) -> Limits:
    """Checks that start servers take longer than all others together."""
    deadlines = [deadline_of(find_check(check.id).drive) for check in chapter.checks]
    extra = [deadline + AROUND_SERVERS_S for deadline in deadlines if deadline > CASE_DEADLINE_S]
    return limits._replace(
        wall_clock_s=limits.wall_clock_s + sum(extra), longest_cell_s=max([limits.longest_cell_s, *extra])
    )


def _job(check_id: str) -> Job:
    """The cases that learners see, then others of this run alone. A check that starts servers tries a new one only."""
    found = find_check(check_id)
    hidden = found.cases(random.Random(secrets.randbits(64)))  # noqa: S311 - varied, not secret
    if deadline_of(found.drive) > CASE_DEADLINE_S:
        return Job(secrets.token_hex(16), hidden, len(hidden))
    visible = visible_cases(found)
    seen = {json.dumps(case) for case in visible}
    return Job(secrets.token_hex(16), visible + [c for c in hidden if json.dumps(c) not in seen], len(visible))


def _prepared(pristine: Notebook, answers: dict[int, Answer], jobs: dict[str, Job]) -> Notebook:
    """The notebook to run: their answers, our cells, each with a label for the plugin."""
    made = copied(pristine)
    cells = [code_cell(DRIVE, breakwire="locked")]  # before anything of theirs
    for cell in made.cells:
        name = grade_id(cell) or ""
        number = exercise_of(name)
        check_id = name.removeprefix("check-").replace("-", ".")
        if cell.cell_type != "code":
            continue
        if is_answer(cell):
            cells += _answer_cells(answers[number], name) if number in answers else []
        elif name.startswith("check-"):
            cells += [_check_cell(check_id)] if check_id in jobs else []
        else:
            cells.append(code_cell(cell.source, breakwire="locked"))
    made.cells = cells
    return made


def _answer_cells(answer: Answer, name: str) -> list[Any]:
    names = list(answer.cells)
    before = answer.before if name == next(iter(names), name) else []
    after = answer.after if name == (names or [name])[-1] else []
    sources = [*before, answer.cells.get(name, ""), *after]
    label = f"answer:{exercise_of(name)}"
    return [code_cell(source, breakwire=label) for source in sources if source.strip()]


def _check_cell(check_id: str) -> Any:
    """Asks for the subject by name and for our own function by import: a name they have redefined has no effect."""
    subject = load().find(check_id)[0].subject
    source = f'{DRIVE}\n_drive("{check_id}", globals().get("{subject}"))'
    return code_cell(source, breakwire=f"check:{check_id}")


def _results(left: list[CheckInfo], jobs: dict[str, Job], run: Run, *, late: bool) -> dict[str, Result]:
    """Results of the checks that came to an end, and of the one that kept the others from it. Never empty."""
    results = {
        check.id: _judged(check, jobs[check.id], run)
        for check in left
        if f"check:{check.id}" in run.done or check.id in run.evidence
    }
    rest = [check for check in left if check.id not in results]
    blamed = [check for check in rest if run.running in (f"check:{check.id}", f"answer:{_exercise(check)}")]
    if not blamed and not late and results:
        return results
    status, says = WHY.get(run.ended, ("crashed", "the notebook could not be run"))
    for check in rest if late else blamed or rest:
        where = "" if check in blamed else "it was not reached: "
        results[check.id] = Result(check, 0, status, where + says)  # type: ignore[arg-type]
    return results


def _judged(check: CheckInfo, job: Job, run: Run) -> Result:
    error = run.done.get(f"answer:{_exercise(check)}", "")
    try:
        evidence = json.loads(run.evidence[check.id])
        is_ours = evidence["nonce"] == job.nonce and evidence["check"] == check.id
        observations = evidence["observations"]
    except KeyError:
        says = run.done.get(f"check:{check.id}") or error or "it left no result"
        return Result(check, 0, "crashed", f"the check did not run to its end: {says}")
    except (ValueError, TypeError, RecursionError):
        is_ours, observations = False, None
    if observations is None and is_ours:
        subject = load().find(check.id)[0].subject
        if error:
            return Result(check, 0, "crashed", f"the answer's cell ended with {FILE_NAME.sub('(', error)}")
        return Result(check, 0, "missing", f"the answer does not define {subject}")
    if not is_ours or not isinstance(observations, list) or len(observations) > len(job.cases):
        return Result(check, 0, "tampered", "a result turned up that this check has not made")
    found = first_failure(find_check(check.id), job.cases, observations)
    return Result(check, check.points, "passed") if found is None else _failed(check, job, found)


def _failed(check: CheckInfo, job: Job, found: Found) -> Result:
    failure = found.failure._replace(what=_cut(found.failure.what, 300), steps=_cut(found.failure.steps, 1000))
    status: Status = "timeout" if found.observation == TIMED_OUT else "failed"
    if found.number >= job.visible:
        says = f"{failure.what} (the {job.visible} visible cases pass; this is one of those that only grading tries)"
        return Result(check, 0, status, says, failure.misconception)
    if "NotImplementedError" in failure.what:
        return Result(check, 0, status, "not finished yet: a NotImplementedError is still there to replace")
    return Result(
        check, 0, status, failure.what, failure.misconception, failure.steps, _picture(check.id, found, failure)
    )


def _cut(text: str, longest: int) -> str:
    """What came from a learner's code may have any length."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _picture(check_id: str, found: Found, failure: Failure) -> str:
    draw = find_check(check_id).picture
    if draw is None or found.observation == TIMED_OUT:
        return ""
    try:
        return draw(found.case, found.observation, failure)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return ""  # what came can not be drawn: the text says so


def _told(result: Result, answer: Answer, changed: dict[str, str]) -> Result:
    """With the code, and with what is to be said about the cells around it."""
    notes = list(answer.notes)
    cell = f"check-{result.check.id.replace('.', '-')}"
    if cell in changed and result.message != NO_ANSWER:
        notes.append(f"the check's own cell was {changed[cell]}; the original one is what counts")
        if changed[cell] != "deleted" and result.status in ("failed", "crashed", "missing"):
            result = result._replace(status="tampered")
    elif changed and result.status == "passed":
        notes.append("cells that are not answers were changed; they do not count")
    message = "; ".join(filter(None, [result.message, *notes]))
    return result._replace(message=message, code=answer.text)


__all__ = ["Limits", "Result", "advice", "grade", "shown"]
