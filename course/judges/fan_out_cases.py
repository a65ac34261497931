"""The cases of exercise 13: all the small ones, then random longer ones."""

import itertools
import random
from typing import Any

from course.checks.case import Case


def _all_short(alphabet: list[Any], longest: int) -> list[Case]:
    return [list(one) for length in range(1, longest + 1) for one in itertools.product(alphabet, repeat=length)]


def _named(case: Case, source: random.Random) -> Case:
    """The same case with other names: no answer can know them."""
    number = source.randint(1, 99)
    names = {"c1": f"c{number}", "c2": f"c{number + 1}"}
    return [[names.get(part, part) if isinstance(part, str) else _renamed(part, names) for part in one] for one in case]


def _renamed(part: Any, names: dict[str, str]) -> Any:
    return [names.get(one, one) for one in part] if isinstance(part, list) else part


_ONCE: list[Any] = [
    ["join", "A", "c1", "s1"], ["join", "A", "c1", "s2"], ["join", "B", "c1", "s3"], ["leave", "A", "c1", "s1"],
    ["send", "A", ["c1"]],
]  # fmt: skip
_LATER: list[Any] = [
    *_ONCE, ["join", "A", "c2", "s1"], ["join", "B", "c2", "s4"], ["leave", "A", "c2", "s1"],
    ["leave", "B", "c1", "s3"], ["send", "B", ["c1"]], ["send", "B", ["c2"]],
]  # fmt: skip


def once_for_all(source: random.Random) -> list[Case]:
    """Who joins and leaves where, and what is sent; at last some crowds."""
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


def one_write(source: random.Random) -> list[Case]:
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


def slow_readers(source: random.Random) -> list[Case]:
    """A reader stalls, goes on and dies, in every order; then three readers in two conversations, at random."""
    start: Case = [["join", "A", "c1", "s1"], ["join", "A", "c1", "s2"]]
    short = [case for case in _all_short(_SLOW, 4) if case[-1][0] in ("send", "reads") and _is_telling(case)]
    cases: list[Case] = [[["max_waiting", 3], *start, *case] for case in short]
    cases += [[["max_waiting", 3], start[0], *case] for case in short if len(case) < 4]
    in_two: Case = [*start, ["join", "A", "c2", "s1"]]
    cases += [[["max_waiting", 3], *in_two, *case, ["send", "A", ["c2"]]] for case in short if len(case) < 4]
    for _ in range(60):
        limit = source.randint(2, 6)
        steps = [_slow_step(source, limit) for _ in range(source.randint(5, 14))]
        cases.append([["max_waiting", limit], *in_two, ["join", "B", "c1", "s3"], ["join", "B", "c2", "s3"], *steps])
    return [_named(case, source) for case in cases]


def _is_telling(case: Case) -> bool:
    """Something stalls or dies, and something is sent."""
    return case[0][0] in ("stalls", "dies", "send") and any(step[0] == "send" for step in case)


def _slow_step(source: random.Random, limit: int) -> list[Any]:
    what = source.choices(["send", "stalls", "reads", "dies"], [6, 2, 3, 1])[0]
    if what == "send":
        conversations = [source.choice(["c1", "c1", "c2"]) for _ in range(source.randint(1, limit))]
        return ["send", source.choice("AB"), conversations]
    return [what, source.choice(["s1", "s2", "s3"])]
