"""The cases of exercise 6: all the small ones, then random longer ones."""

import itertools
import random
from typing import Any

from course.checks.case import Case

Steps = list[list[Any]]

_CONVERSATIONS = ("general", "tea", "lunch", "night", "music")
_MEMBERS: Steps = [["join", "A", 0], ["join", "B", 0], ["join", "A", 1], ["leave", 0], ["leave", 1], ["again", 0]]
_FAULTS: Steps = [["redis"], ["cut", "A"], ["cut", "B"], ["join", "B", 0], ["dies", 0], ["send", "C"], ["leave", 1]]
_SOCKETS: Steps = [["dies", 0], ["dies", 1], ["cut", "A"], ["send", "C"]]
_FAULTS_LONG: Steps = [*_MEMBERS, *_FAULTS, ["join", "B", 1], ["redis"], ["redis"], ["send", "C"], ["leave", 2]]
_ANY: Steps = [
    *_MEMBERS, ["join", "B", 1], ["join", "C", 0], ["leave", 2], ["leave", 3],
    ["send", "A"], ["send", "B"], ["send", "C"], ["send", "C"],
]  # fmt: skip


def placement_cases(source: random.Random) -> list[Case]:
    """Who is where, and who sends."""
    return _small([], _MEMBERS, 3, [["send", "A"]]) + _small([], _MEMBERS, 2, [["send", "B"]]) + _long(source, _ANY)


def frugal_cases(source: random.Random) -> list[Case]:
    """The same, also from an instance where nobody is."""
    return _small([], _MEMBERS, 3, [["send", "C"]]) + _small([], _MEMBERS, 2, [["send", "A"]]) + _long(source, _ANY)


def fault_cases(source: random.Random) -> list[Case]:
    """Two on A and B, or both on A, and what happens to Redis, a link, a socket. Who sends is on C, where nobody is."""
    apart: Steps = [["join", "A", 0], ["join", "B", 0]]
    together: Steps = [["join", "A", 0], ["join", "A", 0]]
    last: Steps = [["back"], ["send", "C"]]
    small = _small(apart, _FAULTS, 3, last) + _small(together, _SOCKETS, 2, last)
    return sorted(small, key=len) + _long(source, _FAULTS_LONG)


def _small(first: Steps, alphabet: Steps, longest: int, last: Steps) -> list[Case]:
    cases = [
        _case([*first, *steps, *last], ("general", "tea"))
        for length in range(longest + 1)
        for steps in itertools.product(alphabet, repeat=length)
    ]
    return sorted({str(case): case for case in cases}.values(), key=len)


def _long(source: random.Random, alphabet: Steps) -> list[Case]:
    senders = sorted({step[1] for step in alphabet if step[0] == "send"})
    cases = []
    for _ in range(40):
        first: Steps = [["join", source.choice("AB"), 0], ["join", "B", 0]]
        steps = [source.choice(alphabet) for _ in range(source.randint(5, 14))]
        names = tuple(source.sample(_CONVERSATIONS, 2))
        cases.append(_case([*first, *steps, ["back"], ["send", source.choice(senders)]], names))
    return cases


def _case(steps: Steps, names: tuple[str, ...]) -> Case:
    """Names what is meant: the n-th connection, the first conversation; drops what can not be."""
    case: Case = []
    made: Steps = []  # [instance, conversation, connection]
    is_away, texts = False, 0
    for step in steps:
        match step:
            case ["join", name, conversation]:
                made.append([name, names[conversation], f"s{len(made) + 1}"])
                case.append(["join", *made[-1]])
            case ["leave", number] if number < len(made):
                case.append(["leave", *made[number]])
            case ["again", number] if number < len(made):
                case.append(["join", *made[number]])
            case ["dies", number] if number < len(made):
                case.append(["dies", made[number][2]])
            case ["send", name]:
                texts += 1
                case.append(["send", name, names[0], f"m{texts}"])
            case ["redis"] | ["back"] if is_away or step == ["redis"]:
                is_away = not is_away
                case.append(["redis_goes" if is_away else "redis_returns"])
            case ["cut", _] if not is_away:
                case.append(step)
    return case
