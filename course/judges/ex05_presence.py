"""Exercise 5, judging: who is online, by leases, on a clock moved by hand. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex05_presence import INSTANCES, drive
from course.checks.presence_in_server import drive_server
from course.judges.picture import Line, compared
from course.judges.presence_in_server import judge_server, server_cases
from course.judges.presence_in_server import picture as picture_of_servers
from course.judges.presence_model import Model

Problem = tuple[str, str]


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model."""
    problem, number, _ = _walk(case, observation)
    return Failure(*problem, shown(case[: number + 1])) if problem is not None else None


def _walk(case: Case, observation: Observation) -> tuple[Problem | None, int, list[Line]]:
    """The first problem, its step, and what is right and what came up to there."""
    model, lines = Model(case[0][1]), []
    for number, (step, (outcome, online, stored)) in enumerate(zip(case[1:], observation[1:], strict=True), start=1):
        problem = _raised(outcome)
        expected: Any = None
        if problem is None and step[0] in ("add", "remove"):
            expected = getattr(model, step[0])(*step[1:])
            problem = _answer_problem(model, case[:number], step, outcome[1], expected=expected)
        elif problem is None and step[0] in ("expire", "expire_together"):
            must, may = model.expire()
            expected = sorted(must)
            problem = _told_problem(model, step, outcome[1], must, may)
        else:
            model.take(step)
        is_outcome = problem is not None
        problem = problem or _online_problem(model, case[: number + 1], online) or _stored_problem(model, step, stored)
        lines.append(_line(model, step, expected if is_outcome else None, outcome, online))
        if problem is not None:
            return problem, number, lines
    return None, len(case), lines


def _raised(outcome: list[Any]) -> Problem | None:
    return ("raises", f"it raised {outcome[1]}: {outcome[2]}") if outcome[0] == "raised" else None


def _answer_problem(model: Model, before: Case, step: list[Any], answer: Any, *, expected: bool) -> Problem | None:
    if answer is expected:
        return None
    what, _, user, connection = step
    method = "add_user_to_online" if what == "add" else "remove_user_from_online"
    says = f"{method} returned {answer!r}, right is {expected}"
    if not isinstance(answer, bool):
        return "wrong_form", says
    if answer and any(lease != (user, connection) for lease in model.ends if lease[0] == user):
        return "counts_what_is_over", f"{says}: the other lease of {user} is over"
    if answer:
        return ("asks_too_late" if what == "add" else "stays_after_goodbye"), says
    return (_taken_away(before, step) if what == "remove" else "asks_only_itself"), says


def _taken_away(before: Case, step: list[Any]) -> str:
    """What a goodbye has done to another device of the user."""
    return "counts_twice" if step in before else "one_entry_a_user"


def _told_problem(model: Model, step: list[Any], answer: Any, must: set[str], may: set[str]) -> Problem | None:
    if missing := sorted(must - set(answer)):
        return "not_told", f"nobody was told that {missing[0]} has gone offline"
    if wrong := sorted(user for user in answer if user not in may):
        if model.online(wrong[0]):
            return "one_entry_a_user", f"{wrong[0]} was reported as gone, and has another lease"
        return "told_twice", f"{wrong[0]} was reported as gone once more"
    if len(set(answer)) < len(answer):
        who = "by both instances" if step[0] == "expire_together" else "twice"
        return "told_twice", f"{next(user for user in answer if answer.count(user) > 1)} was reported as gone {who}"
    return None


def _online_problem(model: Model, steps: Case, online: dict[str, list[Any]]) -> Problem | None:
    for user, answers in online.items():
        right = model.online(user)
        for name, answer in zip(INSTANCES, answers, strict=True):
            if answer is right:
                continue
            if not isinstance(answer, bool):
                return "wrong_form", f"is_user_online({user}) on {name}: {answer!r}, right is {right}"
            kind = _why_online(model, user, steps) if answer else _why_offline(model, name, user, steps)
            return kind, f"{name} says that {user} is {'online' if answer else 'offline'}, and it is not so"
    return None


def _why_offline(model: Model, name: str, user: str, steps: Case) -> str:
    """The misconception of whoever takes a user for gone."""
    match steps[-1]:
        case ["remove", _, _, _] as step:
            return _taken_away(steps[:-1], step)
        case ["expire" | "expire_together", *_]:
            return "one_entry_a_user"
        case ["renew" | "wait", *_]:
            return "not_renewed"
    return "one_entry_a_user" if any(owner == user for owner, _ in model.held[name]) else "asks_only_itself"


def _why_online(model: Model, user: str, steps: Case) -> str:
    """The misconception of whoever takes a user for present."""
    match steps[-1]:
        case ["remove", *_]:
            return "stays_after_goodbye"
        case ["store_forgets"]:
            return "asks_only_itself"
        case ["renew", _] if any(step[0] == "remove" and step[2] == user for step in steps[1:]):
            return "stays_after_goodbye"
        case ["renew", _]:
            return "renews_for_others"
    if any(step[0] == "wait" and step[1] >= model.lease_s for step in steps):
        return "ghost"
    return "renews_for_others" if any(step[0] == "renew" for step in steps) else "renews_on_read"


def _stored_problem(model: Model, step: list[Any], stored: dict[str, list[str]]) -> Problem | None:
    if step[0] not in ("expire", "expire_together"):
        return None
    for user, connections in stored.items():
        for connection in connections:
            if (user, connection) in model.over:
                return "leaves_leases", f"the lease of {user}'s {connection} is over, and still in the store"
    return None


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """Who is online after each step; at the last one what it should have answered."""
    return compared(_walk(case, observation)[2], "right", "yours")


def _line(model: Model, step: list[Any], expected: Any, outcome: list[Any], online: dict[str, list[Any]]) -> Line:
    name = shown([step])
    if outcome[0] == "raised":
        return Line(name, "no error", f"raised {outcome[1]}")
    if expected is not None:
        return Line(name, f"returns {expected}", f"returns {outcome[1]}")
    says = [_online([user for user, answers in online.items() if answers[n] is True]) for n in range(len(INSTANCES))]
    right = _online([user for user in online if model.online(user)])
    return Line(name, f"online: {right}", f"online: {says[0]}" if says[0] == says[1] else f"A: {says[0]}, B: {says[1]}")


def _online(users: list[str]) -> str:
    return "+".join(users) or "–"


# -- cases: all the small ones, then random longer ones -----------------------------------------------------------

_NAMES = ("ann", "bob", "cyd", "dee", "eve")
_LEASES = (6, 9, 30, 60)
_DEVICES: list[list[Any]] = [["add", "A", 0], ["add", "B", 0], ["add", "B", 1], ["remove", 0], ["remove", 1]]
_TIME: list[list[Any]] = [
    ["wait", 3], ["wait", 2], ["expire", "A"], ["expire_together"], ["renew", "A"], ["renew", "B"],
    ["kill", "A"], ["add", "B", 0], ["remove", 0], ["store_forgets"],
]  # fmt: skip


def _cases(alphabet: list[list[Any]], first: list[list[Any]], longest: int, randomly: int) -> MakeCases:
    def cases(source: random.Random) -> list[Case]:
        small = [
            _case([*first, *steps], 30, ("ann", "bob"))
            for length in range(1, longest + 1)
            for steps in itertools.product(alphabet, repeat=length)
        ]
        longer = [
            _case(
                [
                    ["add", source.choice(INSTANCES), 0],
                    *(source.choice(alphabet) for _ in range(source.randint(4, 14))),
                ],
                source.choice(_LEASES),
                tuple(source.sample(_NAMES, 2)),
            )
            for _ in range(randomly)
        ]
        unique = {str(case): case for case in small}
        return sorted(unique.values(), key=len) + longer

    return cases


def _case(steps: list[list[Any]], lease_s: int, users: tuple[str, ...]) -> Case:
    """Names users and connections, counts in thirds of a lease, and drops what nobody can do."""
    case: Case = [["lease", lease_s]]
    made: list[list[Any]] = []
    lost: set[int] = set()
    for step in steps:
        match step:
            case ["add", name, user]:
                made.append([name, users[user], f"c{len(made) + 1}"])
                case.append(["add", *made[-1]])
            case ["remove", number] if number < len(made) and number not in lost:
                case.append(["remove", *made[number]])
            case ["wait", thirds]:
                case.append(["wait", thirds * lease_s // 3])
            case ["kill", name]:
                lost |= {number for number, connection in enumerate(made) if connection[0] == name}
                case.append(step)
            case ["renew" | "expire" | "expire_together" | "store_forgets", *_]:
                case.append(step)
    return case


CHECKS = {
    "5.1": Check(_cases(_DEVICES, [], 4, 40), drive, judge, picture),
    "5.2": Check(_cases(_TIME, [["add", "A", 0]], 3, 80), drive, judge, picture),
    "5.3": Check(server_cases, drive_server, judge_server, picture_of_servers),
}
