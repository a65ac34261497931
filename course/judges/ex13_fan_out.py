"""Exercise 13, judging: the work of a fan-out, counted, and whether everybody still gets everything. Runs nothing."""

import itertools
import random
from collections import Counter
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex13_fan_out import drive
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
    if len(set(got)) < len(got):
        return "delivers_twice", what
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
    column = _costs if failure.misconception in COSTLY else _reached
    for step, seen in zip(case[1:], observation, strict=True):
        lines.append(Line(shown([step]), column(vars(model.take(step))), column(seen)))
        if len(lines) == failure.steps.count(" → "):
            break
    return compared(lines, "right", "yours")


def _costs(seen: dict[str, Any]) -> str:
    return f"{seen['encodes']} enc {len(seen['commands'])} cmd {sum(map(len, seen['writes'].values()))} wr"


def _reached(seen: dict[str, Any]) -> str:
    got = [f"{name}:{'+'.join(frames)}" for name, frames in sorted(seen["got"].items()) if frames]
    return " ".join([*got, *(f"{name} closed" for name in seen["closed"])]) or "nobody"


# -- cases: all the small ones, then random longer ones -----------------------------------------------------------


def _all_short(alphabet: list[Any], longest: int) -> list[Case]:
    return [list(one) for length in range(1, longest + 1) for one in itertools.product(alphabet, repeat=length)]


def _named(case: Case, source: random.Random) -> Case:
    """The same case with other names: no answer can know them."""
    number = source.randint(1, 99)
    names = {"c1": f"c{number}", "c2": f"c{number + 1}"}
    return [[names.get(part, part) if isinstance(part, str) else _renamed(part, names) for part in one] for one in case]


def _renamed(part: Any, names: dict[str, str]) -> Any:
    return [names.get(one, one) for one in part] if isinstance(part, list) else part


_JOIN = {
    "s1": ["join", "A", "c1", "s1"],
    "s2": ["join", "A", "c1", "s2"],
    "s3": ["join", "B", "c1", "s3"],
}
_ONCE: list[Any] = [*_JOIN.values(), ["leave", "A", "c1", "s1"], ["send", "A", ["c1"]]]
_LATER: list[Any] = [
    *_ONCE, ["join", "A", "c2", "s1"], ["join", "B", "c2", "s4"], ["leave", "A", "c2", "s1"],
    ["leave", "B", "c1", "s3"], ["send", "B", ["c1"]], ["send", "B", ["c2"]],
]  # fmt: skip


def _once_for_all(source: random.Random) -> list[Case]:
    short = [case for case in _all_short(_ONCE, 4) if case[-1][0] != "join" and _is_possible(case)]
    longer = [[source.choice(_LATER) for _ in range(source.randint(6, 16))] for _ in range(40)]
    crowds = [[["join", source.choice("AB"), "c1", f"s{number}"] for number in range(source.randint(5, 30))]
              + [["send", "A", ["c1"]]] for _ in range(5)]  # fmt: skip
    return [
        _named([["max_waiting", 9], *case], source) for case in short + [c for c in longer if _is_possible(c)] + crowds
    ]


def _is_possible(case: Case) -> bool:
    """Who leaves has been there: a socket belongs to one instance."""
    joined = {tuple(step[1:]) for step in case if step[0] == "join"}
    return all(tuple(step[1:]) in joined for step in case if step[0] == "leave")


def _one_write(source: random.Random) -> list[Case]:
    """Several messages in one turn, for sockets in one conversation and in two."""
    start: Case = [["join", "A", "c1", "s1"], ["join", "A", "c2", "s1"], ["join", "B", "c1", "s2"]]
    bursts = [list(one) for length in range(1, 5) for one in itertools.product(["c1", "c2"], repeat=length)]
    cases: list[Case] = [[["max_waiting", 9], *start, ["send", "A", burst]] for burst in bursts]
    for _ in range(60):
        sizes = [source.randint(1, 8) for _ in range(source.randint(2, 5))]
        sends = [["send", source.choice("AB"), [source.choice(["c1", "c2"]) for _ in range(size)]] for size in sizes]
        cases.append([["max_waiting", source.randint(8, 12)], *start, *sends])
    return [_named(case, source) for case in cases]


_SLOW: list[Any] = [["stalls", "s1"], ["reads", "s1"], ["dies", "s1"], ["send", "A", ["c1"]], ["send", "B", ["c1"] * 2]]


def _slow_readers(source: random.Random) -> list[Case]:
    start: Case = [["join", "A", "c1", "s1"], ["join", "A", "c1", "s2"]]
    short = [case for case in _all_short(_SLOW, 4) if case[-1][0] in ("send", "reads") and _is_telling(case)]
    cases: list[Case] = [[["max_waiting", 3], *start, *case] for case in short]
    alone = [[["max_waiting", 3], start[0], *case] for case in short if len(case) < 4]
    for _ in range(60):
        limit = source.randint(2, 6)
        steps = [_slow_step(source, limit) for _ in range(source.randint(5, 14))]
        cases.append([["max_waiting", limit], *start, ["join", "B", "c1", "s3"], *steps])
    return [_named(case, source) for case in cases + alone]


def _is_telling(case: Case) -> bool:
    """Something stalls or dies, and something is sent."""
    return case[0][0] in ("stalls", "dies", "send") and any(step[0] == "send" for step in case)


def _slow_step(source: random.Random, limit: int) -> list[Any]:
    what = source.choices(["send", "stalls", "reads", "dies"], [6, 2, 3, 1])[0]
    if what == "send":
        return ["send", source.choice("AB"), ["c1"] * source.randint(1, limit)]
    return [what, source.choice(["s1", "s2", "s3"])]


def _checked(cases: MakeCases) -> Check:
    return Check(cases, drive, judge, picture)


CHECKS = {"13.1": _checked(_once_for_all), "13.2": _checked(_one_write), "13.3": _checked(_slow_readers)}
