"""Exercise 9, judging: who hears an event, what is counted, and what waits for what. Runs nothing."""

from collections import Counter
from functools import partial
from typing import Any, NamedTuple

from course.checks.bus_in_server import drive_in_server
from course.checks.case import Case, Check, Failure, Observation, shown
from course.checks.ex09_event_bus import drive
from course.judges.bus_cases import cases_of_failing, cases_of_hearing, cases_of_the_server, cases_of_waiting
from course.judges.bus_in_server import judge_in_server, picture_of_server
from course.judges.bus_model import Model
from course.judges.picture import Line, compared

Problem = tuple[str, str]

WAITS = "something to await"


class Seen(NamedTuple):
    """What the learner's bus did in one step."""

    outcome: list[Any]
    at_once: Counter[str]
    later: Counter[str]
    drain: str
    failures: Any

    @classmethod
    def of(cls, entry: list[Any]) -> "Seen":
        """One entry of an observation."""
        outcome, at_once, later, drain, failures = entry
        return cls(outcome, Counter(at_once), Counter(later), drain, failures)


def judge(case: Case, observation: Observation, *, may_wait: bool) -> Failure | None:
    """Compares step by step with the model. ``may_wait``: a ``publish`` to be awaited is another check's matter."""
    model = Model()
    for number, (step, entry) in enumerate(zip(case, observation, strict=True)):
        seen, steps = Seen.of(entry), case[: number + 1]
        sync, in_tasks = model.take(step)
        wrong = (
            _outcome_problem(steps, seen.outcome, may_wait=may_wait)
            or _noted_problem(model, steps, sync, in_tasks, seen)
            or _drain_problem(model, step, seen.drain)
            or _count_problem(model, step, seen.failures)
        )
        if wrong is not None:
            return Failure(*wrong, shown(steps))
    return None


def _outcome_problem(steps: Case, outcome: list[Any], *, may_wait: bool) -> Problem | None:
    step = steps[-1]
    if outcome[0] == "raised":
        what = f"{step[0]} raised {outcome[1]}: {outcome[2]}"
        if "__name__" in outcome[2] or "__qualname__" in outcome[2]:
            return "needs_a_name", what
        if "changed size during iteration" in outcome[2]:
            return "iterates_the_live_list", what
        return "failure_escapes" if _fails(steps) else "raises", what
    if outcome[1] == WAITS and not may_wait:
        return "publish_waits", "publish gave back something to await; right: it calls, starts, and returns"
    return None


def _noted_problem(model: Model, steps: Case, sync: Counter[str], in_tasks: Counter[str], seen: Seen) -> Problem | None:
    noted, right = seen.at_once + seen.later, sync + in_tasks
    if missing := right - noted:
        return _why_missing(model, steps), f'"{_first(missing)}" did not happen; what did: {_listed(noted)}'
    if extra := noted - right:
        return _why_extra(model, extra), f'"{_first(extra)}" should not have happened; right is: {_listed(right)}'
    if (late := sync - seen.at_once) and seen.outcome[1] != WAITS:
        return "sync_not_at_once", f'"{_first(late)}" happened only after publish had returned'
    return None


def _why_missing(model: Model, steps: Case) -> str:
    if steps[-1][0] == "finish":
        return "loses_tasks"
    if model.changed:
        return "iterates_the_live_list"
    if _fails(steps):
        return "stops_the_others"
    return "one_after_another" if model.busy else "forgets_handlers"


def _why_extra(model: Model, extra: Counter[str]) -> str:
    if model.changed:
        return "iterates_the_live_list"
    return "hears_after_leaving" if _first(extra).split()[0] in model.gone else "ignores_the_type"


def _drain_problem(model: Model, step: list[Any], drain: str) -> Problem | None:
    if drain.startswith("raised"):
        return "failure_escapes", f"drain {drain}"
    if drain == "ended" and model.busy and step[0] != "publish":
        return "drains_too_early", f"drain has ended, and handler {model.busy[0][0].name} is still busy"
    return None


def _count_problem(model: Model, step: list[Any], failures: Any) -> Problem | None:
    if step[0] != "wait_for_drain" or failures == model.failures:
        return None
    what = f"failures is {failures!r}, right is {model.failures}"
    return "counts_twice" if isinstance(failures, int) and failures > model.failures else "swallows", what


def _fails(steps: Case) -> bool:
    return any(step[0].startswith("subscribe") and step[4].startswith("raises") for step in steps)


def _first(notes: Counter[str]) -> str:
    return min(notes)


def _listed(notes: Counter[str]) -> str:
    return ", ".join(sorted(notes.elements())) or "nothing"


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """What is to be noted in each step, and what was."""
    model, lines = Model(), []
    for step, entry in zip(case, observation, strict=True):
        seen = Seen.of(entry)
        right = sum(model.take(step), Counter[str]())
        lines.append(Line(shown([step]), _listed(right), _came(seen)))
        if step[0] == "wait_for_drain":
            lines[-1] = Line("drain ends", f"failures: {model.failures}", f"failures: {seen.failures}")
        if len(lines) == failure.steps.count(" → ") + 1:
            break
    return compared(lines, "right", "yours")


def _came(seen: Seen) -> str:
    return f"{seen.outcome[1]}!" if seen.outcome[0] == "raised" else _listed(seen.at_once + seen.later)


CHECKS = {
    "9.1": Check(cases_of_hearing, drive, partial(judge, may_wait=True), picture),
    "9.2": Check(cases_of_failing, drive, partial(judge, may_wait=True), picture),
    "9.3": Check(cases_of_waiting, drive, partial(judge, may_wait=False), picture),
    "9.4": Check(cases_of_the_server, drive_in_server, judge_in_server, picture_of_server),
}
