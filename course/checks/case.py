"""The parts of a check, and how it is run."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Case = list[Any]
"""One sequence of steps, as JSON."""

Observation = list[Any]
"""What the learner's code did at each step, as JSON."""

MakeCases = Callable[[random.Random], list[Case]]

CASE_DEADLINE_S = 1.0
GIVE_UP_AFTER = 3
"""Cases that may run into the deadline before the rest is left out: an endless loop would cost minutes."""


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
    """

    cases: MakeCases
    drive: Callable[[Any, Case], Awaitable[Observation]]
    judge: Callable[[Case, Observation], Failure | None]


async def drive_all(check: Check, subject: Any, cases: list[Case]) -> list[Observation]:
    """What ``subject`` does in each case. A case that does not end in time is ``["timeout"]``."""
    observations: list[Observation] = []
    late = 0
    for case in cases:
        if late >= GIVE_UP_AFTER:
            break
        try:
            async with asyncio.timeout(CASE_DEADLINE_S):
                observations.append(await check.drive(subject, case))
        except TimeoutError:
            late += 1
            observations.append(["timeout"])
        except Exception as error:  # noqa: BLE001 - whatever a learner's code raises outside of a step
            observations.append(["raised", _named(error)])
    return observations


def judge_all(check: Check, cases: list[Case], observations: list[Observation]) -> Failure | None:
    """The failure in the first case that has one; None when every case is right."""
    for case, observation in zip(cases, observations, strict=False):
        failure = judge_one(check, case, observation)
        if failure is not None:
            return failure
    if len(observations) < len(cases):
        return Failure("ignores_silently", "the run ended before all cases had been tried", "")
    return None


def judge_one(check: Check, case: Case, observation: Observation) -> Failure | None:
    """One case. What is not even an observation is a failure, too."""
    if observation[:1] == ["timeout"]:
        return Failure("ignores_silently", f"no end within {CASE_DEADLINE_S:g} s", str(case))
    if observation[:1] == ["raised"]:
        return Failure("raises_on_bad_input", f"raised {observation[1]}", str(case))
    try:
        return check.judge(case, observation)
    except (LookupError, TypeError, ValueError, AttributeError):
        return Failure("wrong_envelope", "the answer has not the form that was asked for", str(case))


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def outcome_of(awaitable: Awaitable[Any]) -> list[Any]:
    """``["returned", value]`` or ``["raised", type, text]``: what one call did."""
    try:
        return ["returned", await awaitable]
    except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
        return ["raised", type(error).__name__, str(error)]
