"""Exercise 5 in the real server: what the two instances have to say. Runs nothing."""

import random

from course.checks.case import Case, Failure, Observation, shown
from course.judges.picture import Line, compared

LEASE_S = 2
_NAMES = ("ann", "bob", "cyd", "dee", "eve")


def server_cases(source: random.Random) -> list[Case]:
    """One, since it starts servers. A phone leaves, Redis forgets, an instance is killed."""
    here, there = source.sample(_NAMES, 2)
    return [
        [
            ["lease", LEASE_S],
            ["connects", there, "phone", 0],
            ["connects", there, "laptop", 1],
            ["connects", here, "phone", 0],
            ["until", 0, there, "online"],
            ["until", 1, here, "online"],
            ["leaves", there, "phone"],
            ["stays", 0, there, "online", 0.5],
            ["redis_forgets"],
            ["until", 0, there, "online"],
            ["kill", 1],
            ["until", 0, there, "offline"],
            ["hears", there],
            ["until", 0, here, "online"],
        ]
    ]


def judge_server(case: Case, observation: Observation) -> Failure | None:
    """Each answer that was waited for has to come."""
    for number, (step, answer) in enumerate(zip(case, observation, strict=False)):
        problem = _problem(case[:number], step, answer)
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    return None


def _problem(before: Case, step: list[object], answer: object) -> tuple[str, str] | None:
    match step:
        case ["until", instance, user, "online"] if answer is None:
            kind = "not_renewed" if ["redis_forgets"] in before else "asks_only_itself"
            return kind, f"instance {instance} goes on saying that {user} is offline"
        case ["until", instance, user, "offline"] if answer is None:
            return "ghost", f"instance {instance} still says that {user} is online, long after a lease"
        case ["hears", user] if answer is None:
            return "not_told", f"nobody was told that {user} has gone offline"
        case ["stays", instance, user, *_] if answer is None:
            return "one_entry_a_user", f"instance {instance} says that {user} is offline, and it is not so"
    return None


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """What an instance has to say, up to the step that is wrong."""
    lines = []
    for number, (step, answer) in enumerate(zip(case, observation, strict=False)):
        right = {"until": str(step[-1]), "stays": "online", "hears": "user_offline"}.get(step[0], "")
        lines.append(Line(shown([step]), right, str(answer or "in vain") if right else ""))
        if _problem(case[:number], step, answer) is not None:
            break
    return compared(lines, "right", "yours")
