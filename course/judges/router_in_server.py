"""Exercise 6 in the real server: who has to see that somebody types. Runs nothing."""

import random

from course.checks.case import Case, Failure, Observation, shown
from course.judges.picture import Line, compared

_NAMES = ("ann", "bob", "cyd", "dee", "eve")


def server_cases(source: random.Random) -> list[Case]:
    """One, since it starts servers: two users on one instance, one on the other, and Redis is restarted."""
    typist, near, far = source.sample(_NAMES, 3)
    places = source.sample((0, 1), 2)
    return [
        [
            ["connects", typist, places[0]],
            ["connects", near, places[0]],
            ["connects", far, places[1]],
            ["types until", typist, [near, far]],
            ["redis_restarts"],
            ["types until", typist, [near, far]],
        ]
    ]


def judge_server(case: Case, observation: Observation) -> Failure | None:
    """Each of the others sees it, and not more often than it was done."""
    place: dict[str, int] = {}
    for number, (step, answer) in enumerate(zip(case, observation, strict=False)):
        if step[0] == "connects":
            place[step[1]] = step[2]
        if step[0] != "types until":
            continue
        typed, seen = answer
        steps = shown(case[: number + 1])
        if unseen := [name for name, count in seen.items() if not count]:
            kind = _why_unseen(case[:number], place[unseen[0]] == place[step[1]])
            return Failure(kind, f"{step[1]} typed {typed} times, and {unseen[0]} saw nothing of it", steps)
        for name, count in seen.items():
            if count > typed:
                return Failure(
                    "delivers_twice", f"{step[1]} typed {typed} times, and {name} saw it {count} times", steps
                )
    return None


def _why_unseen(before: Case, is_near: bool) -> str:
    if ["redis_restarts"] in before:
        return "dies_quietly"
    return "skips_own_instance" if is_near else "local_only"


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """Who saw it, up to the step that is wrong."""
    lines = []
    for step, answer in zip(case, observation, strict=False):
        if step[0] != "types until":
            lines.append(Line(shown([step]), "", ""))
            continue
        typed, seen = answer
        came = [f"{name} x{count}" if count > typed else name for name, count in seen.items() if count]
        lines.append(Line(shown([step]), " ".join(seen), " ".join(came) or "nobody"))
        if not all(0 < count <= typed for count in seen.values()):
            break
    return compared(lines, "who sees it", "yours")
