"""Exercise 8: messages whose commands work, are lost, or lose their answer; small cases first. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case

TEXTS = ("hello", "lunch?", "see you", "12 o'clock", "it is raining")
FATES = ("ok", "lost", "answer lost", "on its way")


def _setting(source: random.Random, servers: int, attempts: int = 1, remember: int = 50) -> Case:
    """Servers with a few members of two conversations each, none of them on two servers."""
    case: Case = [["servers", servers], ["attempts", attempts], ["remember", remember]]
    for server, conversation in itertools.product(range(servers), ("c-1", "c-2")):
        letter = source.choice("abcdefgh")
        users = [f"{letter}{server}{conversation[-1]}{number}" for number in range(source.randint(1, 5))]
        case.append(["here", server, conversation, users])
    return case


def _publish(source: random.Random, servers: int, fates: tuple[str, ...] = (), text: str | None = None) -> list[Any]:
    said = text if text is not None else f"{source.choice(TEXTS)} {source.randint(10, 99)}"
    return ["publish", source.randrange(servers), source.choice(("c-1", "c-2")), said, list(fates)]


def _small(count: int) -> Case:
    users = [["ann"], ["ann", "bob"], ["ann", "bob", "cid", "dan", "eve", "fay", "gus"]][count]
    return [["servers", 1], ["attempts", 1], ["remember", 50], ["here", 0, "c-1", users]]


def one_command_cases(source: random.Random) -> list[Case]:
    """One member, two, several pages of them; then several servers and conversations, and the same text again."""
    cases = [[*_small(count), ["publish", 0, "c-1", source.choice(TEXTS), []]] for count in range(3)]
    for servers in (1, 2, 3):
        for length in (1, 2, 4):
            cases += [
                [*_setting(source, servers), *(_publish(source, servers) for _ in range(length))] for _ in range(6)
            ]
        text = source.choice(TEXTS)
        cases.append([*_setting(source, servers), *(_publish(source, servers, text=text) for _ in range(4))])
    return cases


def tried_again_cases(source: random.Random) -> list[Case]:
    """All fates of up to three attempts, then longer ones; repetitions that come late; memory."""
    cases = [
        [["servers", 1], ["attempts", attempts], ["remember", 50], ["here", 0, "c-1", ["ann"]],
         ["publish", 0, "c-1", f"{source.choice(TEXTS)} {source.randint(10, 99)}", list(fates)]]
        for attempts in (1, 2, 3)
        for fates in itertools.product(FATES, repeat=attempts)
    ]  # fmt: skip
    for late in range(3):
        case = _setting(source, 2, 2, source.randint(5, 9))
        cases.append([*case, *(_publish(source, 2) for _ in range(late + 1)), ["again", late]])
    for _ in range(30):
        attempts, servers = source.randint(1, 4), source.randint(1, 3)
        steps = [
            _publish(source, servers, tuple(source.choice(FATES) for _ in range(source.randint(0, attempts + 1))))
            for _ in range(source.randint(1, 4))
        ]
        cases.append([*_setting(source, servers, attempts), *steps])
    memories = (source.randint(5, 8), source.randint(9, 12))
    return cases + [[*_setting(source, 2, 1, size), ["many", 0, "c-1", 12 * size]] for size in memories]
