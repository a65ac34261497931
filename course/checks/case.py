"""The parts of a check, and how it is judged."""

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Case = list[Any]
"""One sequence of steps, as JSON."""

Observation = list[Any]
"""What the learner's code did at each step, as JSON."""

MakeCases = Callable[[random.Random], list[Case]]
Drive = Callable[[Any, Case], Awaitable[Observation]]

CASE_DEADLINE_S = 2.0
"""How long one case may take, unless its driver says ``@within``."""
TIMED_OUT: Observation = ["timeout"]


def within(seconds: float) -> Callable[[Drive], Drive]:
    """Gives a driver more time for a case: one that starts servers needs it."""

    def mark(drive: Drive) -> Drive:
        drive.deadline_s = seconds  # type: ignore[attr-defined]
        return drive

    return mark


def deadline_of(drive: Drive) -> float:
    """How long one case of this driver may take, in seconds."""
    return float(getattr(drive, "deadline_s", CASE_DEADLINE_S))


def starts_servers(drive: Drive) -> bool:
    """Whether a driver has asked for more time: those that start servers do."""
    return deadline_of(drive) > CASE_DEADLINE_S


class Failure(NamedTuple):
    """The first thing that is wrong in a case."""

    misconception: str
    """A key of the manifest's ``misconceptions``."""
    what: str
    """What was expected and what came, in one line."""
    steps: str
    """The steps up to there, as people write them."""


class Check(NamedTuple):
    """One graded property.

    ``cases(random)`` makes them, small ones first, so the first failure is the smallest. ``drive`` runs the
    learner's code and only writes down what happens. ``judge`` knows what is right and never meets that code.
    ``picture(case, observation, failure)`` draws the failing case as SVG, if the check has a drawing of its own.
    """

    cases: MakeCases
    drive: Drive
    judge: Callable[[Case, Observation], Failure | None]
    picture: Callable[[Case, Observation, Failure], str] | None = None


class Found(NamedTuple):
    """A failure, and the case it is in."""

    number: int
    case: Case
    observation: Observation
    failure: Failure


def first_failure(check: Check, cases: list[Case], observations: list[Observation]) -> Found | None:
    """The first case that has a failure; None when every case is right."""
    for number, (case, observation) in enumerate(zip(cases, observations, strict=False)):
        failure = judge_one(check, case, observation)
        if failure is not None:
            return Found(number, case, observation, failure)
    if len(observations) < len(cases):
        number = len(observations)
        return Found(number, cases[number], [], Failure("raises", "the run ended before all cases had been tried", ""))
    return None


def judge_all(check: Check, cases: list[Case], observations: list[Observation]) -> Failure | None:
    """The failure in the first case that has one; None when every case is right."""
    found = first_failure(check, cases, observations)
    return found.failure if found is not None else None


def judge_one(check: Check, case: Case, observation: Any) -> Failure | None:
    """One case. What is not even an observation is a failure, too."""
    if not isinstance(observation, list):
        return Failure("wrong_form", "the answer has not the form that was asked for", shown(case))
    if observation == TIMED_OUT:
        return Failure("never_ends", f"no end within {deadline_of(check.drive):g} s", shown(case))
    if observation[:1] == ["raised"]:
        return Failure("raises", f"raised {observation[-1]}", shown(case))
    try:
        return check.judge(case, observation)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return Failure("wrong_form", "the answer has not the form that was asked for", shown(case))


def shown(case: Case) -> str:
    """A case as people write it: ``connect(ann, s1) → send(ann)``."""
    return " → ".join(_shown_step(step) for step in case)


def _shown_step(step: Any) -> str:
    if not isinstance(step, list) or not step:
        return str(step)
    what, *arguments = step
    flat = [", ".join(map(str, one)) if isinstance(one, list) else str(one) for one in arguments]
    return f"{what}({', '.join(flat)})"


async def outcome_of(awaitable: Awaitable[Any]) -> list[Any]:
    """``["returned", value]`` or ``["raised", type, text]``: what one call did."""
    try:
        return ["returned", await awaitable]
    except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
        return ["raised", type(error).__name__, str(error)]


def counted(number: int, thing: str) -> str:
    """``1 command``, ``2 commands``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def plain(value: Any) -> Any:
    """A copy as JSON: later changes by the learner's code do not change what was seen."""
    return json.loads(json.dumps(value, default=repr))
