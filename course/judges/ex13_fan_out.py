"""Exercise 13, judging: the work of a fan-out, counted, and whether everybody still gets everything. Runs nothing."""

from collections import Counter
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex13_fan_out import drive
from course.judges.fan_out_cases import once_for_all, one_write, slow_readers
from course.judges.fan_out_model import TOO_SLOW, Expected, Model
from course.judges.picture import Line, compared

Problem = tuple[str, str]
COSTLY = {"encodes_per_recipient", "too_many_commands", "stays_subscribed", "writes_per_frame"}


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model: first who got what, then what it cost."""
    model = Model(case[0][1])
    for number, (step, seen) in enumerate(zip(case[1:], observation, strict=True), start=1):
        right = model.take(step)
        problem = _raised(seen) or _closed(model, right, seen) or _got(model, right, seen) or _cost(right, seen)
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    return None


def _raised(seen: dict[str, Any]) -> Problem | None:
    match seen["outcome"]:
        case ["raised", _, text]:
            return "raises", f"raised {text}"
        case ["coroutine", name]:
            return "wrong_form", f"{name} is async; right is a plain function that waits for nothing"
    return None


def _closed(model: Model, right: Expected, seen: dict[str, Any]) -> Problem | None:
    for name in right.closed:
        if name not in seen["closed"]:
            return "grows_without_limit", f"{name} has too much waiting, and was not closed"
        if seen["closed"][name][0] != str(TOO_SLOW):
            return "wrong_form", f"{name} was closed with {seen['closed'][name][0]}, right is {TOO_SLOW}"
    for name in seen["closed"]:
        if not model.sockets[name].forgotten:  # to close one that is dead anyway harms nobody
            return "closes_too_early", f"{name} was closed, and no more than max_waiting texts were waiting for it"
    return None


def _got(model: Model, right: Expected, seen: dict[str, Any]) -> Problem | None:
    for name in seen["overlaps"]:
        return "drops_order", f"two writes to {name} were under way at the same time, and the second came first"
    for name, socket in model.sockets.items():
        got, expected = seen["got"].get(name, []), right.got.get(name, [])
        if socket.forgotten and name in seen["writes"] and name not in right.writes:
            return "keeps_the_dead", f"{name} is closed or dead, and was written to again"
        if got != expected:
            return _what_is_wrong(model, name, got, expected, seen)
    return None


def _what_is_wrong(model: Model, name: str, got: list[str], expected: list[str], seen: dict[str, Any]) -> Problem:
    what = f"{name} got {_listed(got)}, right is {_listed(expected)}"
    if "changed" in got:
        return "shares_the_message", f"{what}: the caller has changed its message meanwhile"
    if any(frame not in {f"m{number + 1}" for number in range(model.sent)} for frame in got):
        return "wrong_form", f"{what}; write takes a list of texts, as encode made them"
    if seen["encodes"] < len([command for command in seen["commands"] if command[1] == "publish"]):
        return "shares_the_message", f"{what}: a message was published that had not been encoded"
    if len(set(got)) < len(got) or set(got) - set(expected):
        return "delivers_twice", what
    if [] in seen["writes"].get(name, []):
        return "shares_the_list", f"{what}: write was given an empty list"
    if sorted(got) == sorted(expected):
        return "drops_order", what
    if seen["failed"]:
        return "raises", f"{what}; a task of yours ended with {seen['failed'][0]}"
    if not got and seen["timers"]:
        return "waits_for_a_timer", f"{what}: it waits for a timer"
    if any(socket.stalled or socket.dead for other, socket in model.sockets.items() if other != name) and not got:
        return "one_stops_all", f"{what}; another socket stalls or is dead"
    if got == expected[: len(got)] and got:
        return "skips_the_slow", f"{what}: what came while a write was under way is missing"
    return "misses_a_member", what


def _cost(right: Expected, seen: dict[str, Any]) -> Problem | None:
    if seen["encodes"] > right.encodes:
        return "encodes_per_recipient", f"encoded {seen['encodes']} times, right is {right.encodes}"
    expected = sorted(right.commands)
    if seen["commands"] != expected:
        return _commands_problem(seen["commands"], expected)
    for name, writes in seen["writes"].items():
        if len(writes) > len(right.writes.get(name, [])):
            return "writes_per_frame", f"{len(writes)} writes to {name}, right is {len(right.writes.get(name, []))}"
    return None


def _commands_problem(commands: list[list[str]], expected: list[list[str]]) -> Problem:
    got, right = Counter(map(_command, commands)), Counter(map(_command, expected))
    if missing := sorted((right - got).elements()):
        name = "stays_subscribed" if missing[0].startswith("unsubscribe") else "misses_a_member"
        return name, f"Redis did not get {', '.join(missing)}"
    return "too_many_commands", f"Redis also got {', '.join(sorted((got - right).elements()))}"


def _command(command: list[str]) -> str:
    instance, what, conversation = command
    return f"{what} {conversation} from {instance}"


def _listed(frames: list[str]) -> str:
    return ", ".join(map(str, frames)) or "nothing"


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """Each step: whom it reaches with what, or, where that is right, what it costs."""
    model, lines = Model(case[0][1]), []
    is_costly = failure.misconception in COSTLY
    column = _costs if is_costly else _reached
    for step, seen in zip(case[1:], observation, strict=True):
        lines.append(Line(shown([step]), column(vars(model.take(step))), column(seen)))
        if len(lines) == failure.steps.count(" → "):
            break
    return compared(lines, "enc·cmd·writes" if is_costly else "right", "yours")


def _costs(seen: dict[str, Any]) -> str:
    return f"{seen['encodes']} · {len(seen['commands'])} · {sum(map(len, seen['writes'].values()))}"


def _reached(seen: dict[str, Any]) -> str:
    got = [f"{name}:{'+'.join(frames)}" for name, frames in sorted(seen["got"].items()) if frames]
    return " ".join([*got, *(f"{name} closed" for name in seen["closed"])]) or "nobody"


def _checked(cases: MakeCases) -> Check:
    return Check(cases, drive, judge, picture)


CHECKS = {"13.1": _checked(once_for_all), "13.2": _checked(one_write), "13.3": _checked(slow_readers)}
