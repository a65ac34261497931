"""What a right desk of exercise 12 does with a request. Runs nothing of a learner's."""

from collections import defaultdict
from typing import Any, NamedTuple

from course.checks.faulty_parts import LONGEST_TEXT, MEMBERS, SAYS

STORE_CALLS = ("begin", "is_member", "add_message", "add_outbox", "commit")
MAY_PASS = {"busy", "lost", "lost_after"}
"""Failures after which the same may succeed."""


class Right(NamedTuple):
    """How a request has to end."""

    answer: str
    """``ack``, the code of an error, or ``cancelled``."""
    tries: int
    sleeps: list[float]
    alert: str | None
    """What the failure said that the operator has to read about."""
    client_is_gone: bool


def right_end(step: list[Any], pauses: list[float]) -> Right:
    """Goes through the tries, and uses up the faults."""
    _, user, conversation, text, _, *faults = step
    plan = defaultdict(list)
    for fault in faults:
        call, kind = fault.split(": ")
        plan[call].append(kind)
    sleeps: list[float] = []
    tries = 0
    while True:
        tries += 1
        kind = _one_try(user, conversation, text, plan)
        if kind not in MAY_PASS or len(sleeps) == len(pauses):
            break
        sleeps.append(pauses[len(sleeps)])
        if plan["sleep"] and plan["sleep"].pop(0) == "cancelled":
            kind = "cancelled"
            break
    alert = SAYS.get(kind)
    if kind == "stored" and plan["publish"]:
        alert = SAYS.get(plan["publish"][0])
    if "cancelled" in plan["reply"] or (kind == "stored" and "cancelled" in plan["publish"][:1]):
        kind = "cancelled"
    answer = {"stored": "ack", "bug": "server_error"} | dict.fromkeys(MAY_PASS, "unavailable")
    return Right(answer.get(kind, kind), tries, sleeps, alert, "gone" in plan["reply"])


def _one_try(user: str, conversation: str, text: str, plan: dict[str, list[str]]) -> str:
    """``stored``, the code of an error, or the kind of the fault that ended it."""
    for call in STORE_CALLS:
        if plan[call]:
            return plan[call].pop(0)
        if call == "is_member" and user not in MEMBERS.get(conversation, set()):
            return "forbidden"
        if call == "add_message" and not 0 < len(text) <= LONGEST_TEXT:
            return "invalid"
    return "stored"
