"""Judges a monitor by what the operators of a real server see of it. Runs nothing."""

import random
from typing import Any

from course.checks.case import Case, Failure, Observation, shown
from course.judges import monitor_traces
from course.judges.monitor_model import Watch

FIRES = "trouble until it fires"
IS_OVER = "calm until it is over"


def judge(case: Case, observation: Observation) -> Failure | None:
    """First what operators see after each step, then each sample that the monitor took."""
    if observation[0] == "no start":
        return Failure("raises", f"the server did not start with your monitor: {observation[1]}", "start")
    firing, samples = observation
    watch = Watch(*case[0][1:])
    for outcome in _outcomes(samples):
        if problem := monitor_traces.raised(outcome):
            return Failure(*problem, shown(case))
    for number, (step, is_firing) in enumerate(zip(case[1:], firing, strict=True), start=1):
        if is_firing != (step == FIRES):
            return Failure(_why(step), _what(step, is_firing), shown(case[: number + 1]))
    problem = monitor_traces.timing_problem(
        monitor_traces.right_changes(watch, [one[:3] for one in samples]),
        monitor_traces.changes(_outcomes(samples)),
        slack=watch.in_a_row,
        samples=samples,
    )
    return Failure(*problem, shown(case)) if problem is not None else None


def _outcomes(samples: list[Any]) -> list[Any]:
    return [outcome for _, _, _, outcome, _, _ in samples]


def _why(step: Any) -> str:
    return {FIRES: "fires_too_late", IS_OVER: "never_clears"}.get(str(step), "alerts_on_one_sample")


def _what(step: Any, is_firing: bool) -> str:
    seen, right = ("an alert", "none") if is_firing else ("no alert", "one")
    return f"after {shown([step])} operators see {seen}, right is {right}"


def cases(source: random.Random) -> list[Case]:
    """One day of a server, in two seconds."""
    watch = [source.choice([0.3, 0.4, 0.5]), source.randint(3, 6), 0.5, 0.1, source.randint(2, 3)]
    return [[["monitor", *watch], ["calm", source.randint(20, 40)], FIRES, IS_OVER, ["quiet", source.randint(4, 8)]]]


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """The rates that the server had, and when the alert was to be seen. Empty when nothing was started."""
    if observation[0] == "no start":
        return ""
    samples = observation[1]
    as_trace = [case[0], ["trace", "in the server"], ["samples", [one[:3] for one in samples]]]
    return monitor_traces.picture(as_trace, [one[3:] for one in samples], failure)
