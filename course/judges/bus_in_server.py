"""Judges a learner's event bus by what two users notice of it. Runs nothing."""

from typing import Any

from course.checks.case import Case, Failure, Observation, shown
from course.checks.server_bus import MUST_BE_AWAITED
from course.judges.picture import Line, compared

FAILS = ("raises", "raises later")
RIGHT_END = "exit code 0, Bob's socket closed with 1012"


def judge_in_server(case: Case, observation: Observation) -> Failure | None:
    """The first thing that Ann, Bob or the operator would complain about."""
    if observation[0][0] == "no start":
        return Failure(_why_no_start(observation[0][1]), f"the server did not start: {observation[0][1]}", "start")
    for number, (step, right, came) in enumerate(zip(case, _right(case), observation, strict=False)):
        if came != right:
            what = f"{shown([step]).removesuffix('()')}: {_told(came)}; right is {_told(right)}"
            return Failure(_why(step, came, right), what, shown(case[: number + 1]))
    if len(observation) < len(case):
        return Failure("wrong_form", "the observation ends too early", shown(case))
    return None


def _right(case: Case) -> list[list[Any]]:
    """What there is to notice of each step."""
    failing = sum(1 for step in case if step[0] == "trouble" and step[1] in FAILS)
    said, right = 0, []
    for step in case:
        said += step[0] == "say"
        right.append(
            {
                "trouble": ["subscribed"],
                "say": ["acked", "heard"],
                "type": ["seen"],
                "done": [f"done with {step[1]}"] if step[0] == "done" else [],
                "count_failures": [failing * said],
                "stop": [RIGHT_END],
            }[step[0]]
        )
    return right


def _why_no_start(says: str) -> str:
    if MUST_BE_AWAITED in says:
        return "publish_waits"
    return "needs_a_loop_when_made" if "no running event loop" in says else "raises"


def _why(step: list[Any], came: list[Any], right: list[Any]) -> str:
    if step[0] == "count_failures":
        return "counts_twice" if came[0] > right[0] else "swallows"
    return {"say": "failure_escapes", "type": "forgets_handlers", "done": "loses_tasks"}.get(
        step[0], "drains_too_early"
    )


def _told(noticed: list[Any]) -> str:
    return ", ".join(map(str, noticed))


def picture_of_server(case: Case, observation: Observation, _failure: Failure) -> str:
    """What there was to notice, and what was."""
    lines = []
    for step, right, came in zip(case, _right(case), observation, strict=False):
        lines.append(Line(shown([step]), _told(right), _told(came)))
        if came != right:
            break
    return compared(lines, "right", "yours")
