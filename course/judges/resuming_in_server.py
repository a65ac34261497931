"""Exercise 11 in the real server, judging: what the client has against what the store has. Runs nothing."""

import random
from typing import Any

from course.checks.case import Case, Failure, Observation, shown

_WORDS = ["tea", "milk", "bread", "salt", "plums", "rice", "soap", "nuts", "figs", "corn"]


def real_cases(source: random.Random) -> list[Case]:
    """One case: every kind of loss, in an order of this run, each with messages in it."""
    numbers = iter(range(1, 100))

    def text() -> str:
        return f"{source.choice(_WORDS)} {next(numbers)}"

    while_away: Case = [["cut"], *([["bob_writes", text()] for _ in range(source.randint(1, 4))])]
    lost_ack: Case = [["ann_sends_in_a_tunnel", text()], ["bob_writes", text()]]
    offline: Case = [["cut"], ["ann_sends", text()], ["bob_writes", text()]]
    parts = [while_away, lost_ack, offline]
    source.shuffle(parts)
    case: Case = [["bob_writes", text()], ["connects", 0], ["ann_sends", text()]]
    for part in parts:
        case += [*part, ["settles", source.choice([0, 1])]]
    killed: Case = [["cut"], ["connects", 0], ["bob_writes", text()], ["kill", 0], ["bob_writes", text()]]
    return [[*case, *killed, ["ann_sends", text()], ["settles", 1]]]


def judge_real(case: Case, observation: Observation) -> Failure | None:
    """Whenever it settles, the client has what the store has, and the store has each of its messages once."""
    sent: list[str] = []
    connections = 0
    for number, (step, seen) in enumerate(zip(case, observation, strict=False)):
        connections += step[0] in ("connects", "settles")
        if step[0].startswith("ann_sends"):
            sent.append(step[1])
        if step[0] == "settles":
            problem = _problem(sent, *seen, most_resumes=2 * connections + len(sent))
            if problem is not None:
                return Failure(*problem, shown(case[: number + 1]))
    if len(observation) < len(case):
        return Failure("does_not_ask", "the client did not come as far as the store", shown(case[: len(observation)]))
    return None


def _problem(
    sent: list[str], stored: list[Any], messages: list[Any], resumes: int, *, most_resumes: int
) -> tuple[str, str] | None:
    texts = [text for _, text in stored]
    numbers = [seq for seq, _ in messages]
    says = f"the store has {_numbers(stored)}, your client {_numbers(messages)}"
    for text in sent:
        if texts.count(text) > 1:
            return "new_name", f"the store has {text!r} {texts.count(text)} times"
        if text not in texts:
            return "forgets_unacked", f"{text!r} was sent while there was no connection, and is not in the store"
    if resumes > most_resumes:
        return "resumes_for_ever", f"the client sent {resumes} resume frames"
    if len(set(numbers)) < len(numbers):
        return "shows_twice", says
    if numbers != sorted(numbers):
        return "trusts_arrival_order", says
    missing = [(seq, text) for seq, text in stored if seq not in numbers]
    if missing and missing[0][1] in sent:
        return "loses_own", says
    if missing:
        return "does_not_ask", says
    if messages != stored:
        return "trusts_arrival_order", f"{says}, and their texts differ"
    return None


def _numbers(messages: list[Any]) -> str:
    return " ".join(str(seq) for seq, _ in messages) or "nothing"
