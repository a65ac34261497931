"""Exercise 3, judging: what may be taken after each step, however a connect ends. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex03_composed_manager import drive
from course.judges.composition_model import FULL, GIVES_BACK, ORDER, PARTS, Model
from course.judges.picture import Line, compared

Problem = tuple[str, str]
SLIPS = {"AttributeError", "TypeError", "NameError", "UnboundLocalError", "KeyError", "NotImplementedError"}
"""What a mistake in the code raises, and no part."""


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model: how it ends, what is left, and in which order it went."""
    model = Model(case[0][1])
    for number, (step, seen) in enumerate(zip(case[1:], observation, strict=True), start=1):
        before = set(model.people)
        outcome, calls = model.take(step)
        problem = (
            _ends(step, outcome, seen["outcome"])
            or _left(model, step, before, seen)
            or _listed(model, step, seen["listed"])
            or _order(step, calls, seen["calls"])
        )
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
        model.saw(seen["held"])
    return None


def _ends(step: list[Any], right: list[str], came: Any) -> Problem | None:
    match step:
        case ["connect_together", people, call]:
            return _together(people, call, came)
        case ["disconnect_meanwhile", name, _, new, call]:
            if not came[0]:
                return "lock_across_await", f"disconnect({name}) waited until {call} of {new} had ended"
            return _connect_ends(["returned", new], came[1])
        case ["disconnect", *_]:
            is_slip = came[0] == "raised" and came[1] in SLIPS
            return ("raises", f"disconnect raised {came[1]}: {came[2]}") if is_slip else None
        case ["connect_cancelled", _, _, call, _] if came == ["never called"]:
            return None if right == FULL else ("wrong_order", f"connect did not get to {call}")
    return _connect_ends(right, came)


def _connect_ends(right: list[str], came: list[str]) -> Problem | None:
    if came[: len(right)] == right:
        return None
    if came[0] == "raised" and came[1] in SLIPS:
        return "raises", f"connect raised {came[1]}: {came[2]}"
    says = f"connect {_said(came)}; right: it {_said(right)}"
    if right == ["cancelled"]:
        return "swallows_the_cancel", says
    if right[0] == "raised":
        return ("hides_the_error" if came[0] == "raised" else "catches_and_goes_on"), says
    return ("leaves_something" if came[0] == "raised" else "wrong_form"), says


def _said(outcome: list[str]) -> str:
    if outcome[0] == "raised":
        return f"raised {': '.join(outcome[1:])}"
    return f"returned {outcome[1]}" if outcome[0] == "returned" else "was cancelled"


def _together(people: list[str], call: str, came: list[Any]) -> Problem | None:
    at_once, *outcomes = came
    if at_once < len(people):
        return "lock_across_await", f"{at_once} of {len(people)} were in {call} at the same time, right is all"
    problems = (_connect_ends(["returned", who.split()[1]], one) for who, one in zip(people, outcomes, strict=True))
    return next((problem for problem in problems if problem), None)


def _left(model: Model, step: list[Any], before: set[str], seen: dict[str, Any]) -> Problem | None:
    for part, right in model.held().items():
        held = set(seen["held"][part])
        if missing := sorted(set(right) - held):
            what = f"the {PARTS[part]} of {missing[0]} is gone"
            return (
                ("harms_others", f"{what}, and {missing[0]} is connected")
                if missing[0] in before
                else ("wrong_form", what)
            )
        if too_many := sorted(held - set(right) - model.may_be_left(part)):
            return _why_left(step, part), f"the {PARTS[part]} of {too_many[0]} is still taken"
    return None


def _why_left(step: list[Any], part: str) -> str:
    match step:
        case ["connect_fails", _, _, _, _, *others] if others:
            return "stops_giving_back"
        case [("connect_fails" | "connect_cancelled"), _, _, call, "after"] if list(PARTS)[ORDER.index(call)] == part:
            return "forgets_the_failed_step"
        case ["connect_cancelled", *_]:
            return "misses_the_cancel"
        case ["disconnect", _, *others]:
            return "stops_giving_back" if others else "disconnect_forgets"
        case ["disconnect_meanwhile", *_]:
            return "disconnect_forgets"
    return "leaves_something"


def _listed(model: Model, step: list[Any], listed: list[str]) -> Problem | None:
    if listed == sorted(model.people):
        return None
    if extra := sorted(set(listed) - set(model.people)):
        name = "disconnect_forgets" if step[0].startswith("disconnect") else "leaves_something"
        return name, f"connections has {extra[0]}, which is not in"
    return "wrong_form", f"connections has {', '.join(listed) or 'nothing'}, right is {', '.join(sorted(model.people))}"


def _order(step: list[Any], right: list[str], calls: list[str]) -> Problem | None:
    taking = [call for call in calls if call in ORDER]
    if not right or taking == right:
        return None
    return "wrong_order", f"{step[0]} called {', '.join(taking) or 'nothing'}; right is {', '.join(right)}"


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """What is taken of the step's connection after it."""
    model, lines = Model(case[0][1]), [Line(shown(case[:1]), "", "")]
    for step, seen in zip(case[1:], observation, strict=True):
        model.take(step)
        if step[0] == "connect_together":
            line = Line(
                f"{len(step[1])} connect, {step[2]}", f"{len(step[1])} at once", f"{seen['outcome'][0]} at once"
            )
        else:
            name = step[2] if step[0].startswith("connect") else step[1]
            excused = {part: [*names, *model.may_be_left(part)] for part, names in model.held().items()}
            line = Line(_short(step), _taken(excused, name), _taken(seen["held"], name))
        lines.append(line)
        if len(lines) == failure.steps.count(" → ") + 1:
            break
        model.saw(seen["held"])
    return compared(lines, "right", "yours")


def _short(step: list[Any]) -> str:
    match step:
        case ["connect_fails", _, name, call, when, *_]:
            return f"{name} fails {when} {call}"
        case ["connect_cancelled", _, name, call, _]:
            return f"{name} cancelled, {call}"
    return shown([step])


def _taken(held: dict[str, list[str]], name: str) -> str:
    there = [PARTS[part] for part, names in held.items() if name in names]
    return "all four" if len(there) == len(PARTS) else ", ".join(there) or "nothing"


# -- cases: every point of failure, then random longer ones -------------------------------------------------------

TROUBLES = [[call, when] for when in ("before", "after") for call in ORDER]
USERS = ["ann", "bob", "cleo", "dora", "emil", "finn", "gina", "hugo"]


def _failures(source: random.Random) -> list[Case]:
    ann, bob = source.sample(USERS, 2)
    alone = [[["connect", ann, "c1"]], [["connect", ann, "c1"], ["disconnect", "c1"]]]
    failing = [["connect_fails", ann, "c1", *trouble] for trouble in TROUBLES]
    alone += [[one] for one in failing]
    alone += [[one, ["connect", ann, "c2"]] for one in failing]
    beside = [
        [["connect", user, "c1"], ["connect_fails", ann, "c2", *trouble]] for user in (ann, bob) for trouble in TROUBLES
    ]
    others = [list(some) for count in (1, 2, 3) for some in itertools.combinations(GIVES_BACK, count)]
    doubly = [[[*one, *some]] for some in others for one in failing]
    leaving = [[["connect", ann, "c1"], ["disconnect", "c1", *some], ["disconnect", "c1"]] for some in others]
    cases = [[["slots", 1 + len(case)], *case] for case in alone + beside + leaving + doubly]
    full = [[["slots", 1], ["connect", ann, "c1"], ["connect", ann, "c2"], ["connect", bob, "c3"]]]
    return cases + full + [_longer(source, ["connect", "connect_fails", "disconnect"]) for _ in range(40)]


def _cancelled(source: random.Random) -> list[Case]:
    ann, bob = source.sample(USERS, 2)
    cases: list[Case] = [[["slots", 1], ["connect_cancelled", ann, "c1", *trouble]] for trouble in TROUBLES]
    cases += [[*case, ["connect", ann, "c2"]] for case in cases]
    cases += [
        [["slots", 2], ["connect", user, "c1"], ["connect_cancelled", ann, "c2", *trouble]]
        for user in (ann, bob)
        for trouble in TROUBLES
    ]
    return cases + [_longer(source, ["connect", "connect_cancelled", "disconnect"]) for _ in range(20)]


def _longer(source: random.Random, kinds: list[str]) -> Case:
    users, case, count = source.sample(USERS, 2), [["slots", source.randint(1, 3)]], 0
    may_fail = "connect_fails" in kinds
    for _ in range(source.randint(4, 9)):
        kind, user = source.choice(kinds), source.choice(users)
        if kind == "disconnect":
            if count:
                failing = source.sample(list(GIVES_BACK), source.choice([0, 0, 1, 2]) if may_fail else 0)
                case.append(["disconnect", f"c{source.randint(1, count)}", *failing])
            continue
        count += 1
        trouble = [] if kind == "connect" else source.choice(TROUBLES)
        failing = source.sample(list(GIVES_BACK), source.randint(0, 2)) if kind == "connect_fails" else []
        case.append([kind, user, f"c{count}", *trouble, *failing])
    return case


def _overlapping(source: random.Random) -> list[Case]:
    ann, bob = source.sample(USERS, 2)
    cases: list[Case] = []
    for call in ORDER:
        pairs = [[f"{ann} c1", f"{user} c2"] for user in (bob, ann)]
        cases += [[["slots", 2], ["connect_together", pair, call]] for pair in pairs]
        cases += [
            [["slots", 2], ["connect", user, "c1"], ["disconnect_meanwhile", "c1", ann, "c2", call]]
            for user in (bob, ann)
        ]
    for _ in range(12):
        people = [f"{source.choice(USERS)} c{number}" for number in range(1, source.randint(3, 30) + 1)]
        leaving = [["disconnect", f"c{number}"] for number in range(1, source.randint(1, 3) + 1)]
        cases.append([["slots", 30], ["connect_together", people, source.choice(ORDER)], *leaving])
    return cases


def _checked(cases: MakeCases) -> Check:
    return Check(cases, drive, judge, picture)


CHECKS = {"3.1": _checked(_failures), "3.2": _checked(_cancelled), "3.3": _checked(_overlapping)}
