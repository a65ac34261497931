"""The cases of exercise 10: each message in each way of going wrong, then random longer ones."""

import itertools
import random
from typing import Any

from course.checks.case import Case
from course.checks.office import ANSWER_LOST, NOTHING_DONE

NAMES = ["ann", "bob", "cat", "dan", "eve", "fay"]
HOW = (NOTHING_DONE, ANSWER_LOST)
RUNS: list[Case] = [[["run"]], [["run_twice"]], [["run"], ["restart"], ["run"]], [["run_together"]]]
OF_SEND = ("tx.get", "tx.set", "commit", "bus.publish")
CALLS = (*OF_SEND, "push.send", "assistant.answer")
PARTS = ("push", "assistant")
MOST_CALLS = 5


class Letters:
    """Messages of three users."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.sender, self.first, self.second = source.sample(NAMES, 3)
        self._number = 0

    def send(self, text: str) -> list[Any]:
        """A step that sends a text to the two others."""
        self._number += 1
        return ["send", f"m{self._number}", self.sender, [self.first, self.second], text]

    def texts(self) -> list[str]:
        """One of each kind: nobody is named, one, both, somebody else; a question; a question that names one."""
        what = self.source.choice(["lunch?", "it rains", "see this"])
        return [
            what,
            f"{what} @{self.first}",
            f"@{self.second} @{self.first} {what}",
            f"@{self.first}x {self.second} mail@{self.first} @{self.sender}",
            f"/ask {what}",
            f"/ask {what} @{self.first}",
        ]

    def each(self) -> list[list[Any]]:
        """A message of each kind."""
        return [self.send(text) for text in self.texts()]

    def any(self) -> list[Any]:
        """One of them."""
        return self.send(self.source.choice(self.texts()))


def _says(letters: Letters) -> list[list[Any]]:
    return [["assistant_says", text] for text in (f"ask @{letters.first}", "/ask me again")]


def cases_of_sending(source: random.Random) -> list[Case]:
    """One message, two, the same again; and whatever can fail in it fails, and the client sends it again."""
    letters = Letters(source)
    one, two = letters.send("hello"), letters.send(f"@{letters.first} hi")
    cases: list[Case] = [[one], [two], [one, one], [one, two], [one, two, one], [letters.send("/ask me")]]
    for what, number, how in itertools.product(OF_SEND, (1, 2), HOW):
        cases.append([["breaks", what, number, how], one, one])
        cases.append([one, ["breaks", what, number, how], two, two])
    cases += [[["down", part], step] for part in PARTS for step in letters.each()]
    cases = [*sorted(cases, key=len), *(_random(source, OF_SEND, []) for _ in range(30))]
    return [_numbered(case) for case in cases]


def cases_of_reacting(source: random.Random) -> list[Case]:
    """Each message, once and again, at the same time and after a restart; then each call fails."""
    letters = Letters(source)
    messages = letters.each()
    cases: list[Case] = [[message, *RUNS[0]] for message in messages]
    cases += [[says, messages[4], *RUNS[0]] for says in _says(letters)]
    cases += [[message, *more] for more in RUNS[1:3] for message in messages]
    cases += [[message, message, *RUNS[0]] for message in messages]
    cases += [[message, *RUNS[3]] for message in messages]
    for message, what, number, how in itertools.product(messages, CALLS, range(1, MOST_CALLS + 1), HOW):
        cases.append([message, ["breaks", what, number, how], ["run"]])
    cases += [_random(source, CALLS, RUNS) for _ in range(60)]
    return [_numbered(case) for case in cases]


def cases_of_hindering(source: random.Random) -> list[Case]:
    """One part is down for a while, and the others go on."""
    letters = Letters(source)
    cases: list[Case] = [[message, ["run"]] for message in letters.each()]
    for part, message in itertools.product(PARTS, letters.each()):
        cases.append([["down", part], message, ["run"]])
        cases.append([["down", part], message, ["run"], letters.any(), ["run"], ["up", part], ["run"]])
    for says, part, message in itertools.product(_says(letters), PARTS, letters.each()[4:]):
        cases.append([says, ["down", part], message, ["run"], ["up", part], ["run"]])
    return [_numbered(case) for case in sorted(cases, key=len)]


def _numbered(case: Case) -> Case:
    """Counts the messages of a case from 1."""
    names: dict[str, str] = {}
    for step in case:
        if step[0] == "send":
            names.setdefault(step[1], f"m{len(names) + 1}")
    return [["send", names[step[1]], *step[2:]] if step[0] == "send" else step for step in case]


def _random(source: random.Random, calls: tuple[str, ...], runs: list[Case]) -> Case:
    """Several messages, with a failure before each of them. Who gets no answer sends again."""
    letters, case = Letters(source), []
    for _ in range(source.randint(2, 4)):
        message = letters.any()
        if source.random() < 0.6:
            case.append(["breaks", source.choice(calls), source.randint(1, MOST_CALLS), source.choice(HOW)])
        case += [message, message, *(source.choice(runs) if runs else [])]
    return case
