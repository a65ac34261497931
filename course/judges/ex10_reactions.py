"""Exercise 10, judging: what is stored, who was told, and what must not have happened twice. Runs nothing."""

from collections import Counter
from enum import Enum, auto
from functools import partial
from typing import Any

from course.checks.case import Case, Check, Failure, Observation, shown
from course.checks.ex10_reactions import drive
from course.judges.picture import Line, compared
from course.judges.reaction_cases import cases_of_hindering, cases_of_reacting, cases_of_sending
from course.judges.reaction_model import Effects, Model, seen_effects

Problem = tuple[str, str]


class About(Enum):
    """What a check looks at, so that one mistake costs the points of one check."""

    SENDING = auto()
    """What ``send`` stores, publishes and leaves to others."""
    EFFECTS = auto()
    """What comes of the events."""
    OTHERS = auto()
    """What comes of them while a part is down, and what is called inside of a transaction."""


def judge(case: Case, observation: Observation, *, about: About) -> Failure | None:
    """Compares step by step."""
    model = Model()
    for number, (step, (outcome, state)) in enumerate(zip(case, observation, strict=True)):
        steps = case[: number + 1]
        model.take(step, state)
        wrong = _inside_problem(state) if about is About.OTHERS else None
        wrong = wrong or _error_problem(state)
        if about is About.SENDING:
            wrong = wrong or _event_problem(state)
        if step[0] == "send":
            wrong = wrong or _send_problem(model, step, outcome, state, about)
        if step[0].startswith("run"):
            wrong = wrong or _effect_problem(model, steps, state)
        if wrong is not None:
            return Failure(*wrong, shown(steps))
        model.before = state
    return None


def _inside_problem(state: dict[str, Any]) -> Problem | None:
    if not state["inside"]:
        return None
    return "inside_the_transaction", f"{state['inside'][0]} was called while a transaction was open"


def _event_problem(state: dict[str, Any]) -> Problem | None:
    for name, is_open, is_stored in state["events"]:
        if is_open:
            return "event_before_commit", f"events: {name} was published inside of the transaction"
        if not is_stored:
            return "event_before_commit", f"events: {name} was published, and no such message is stored"
    return None


def _error_problem(state: dict[str, Any]) -> Problem | None:
    """Parts raise ``ConnectionError``; all else is the learner's own."""
    if state["endless"]:
        return "answers_itself", "events: they have no end, each answer causes another one"
    for error in state["errors"]:
        if "inside of a transaction" in error:
            return "inside_the_transaction", f"a reaction raised {error}"
        if not error.startswith("ConnectionError"):
            return "raises", f"a reaction raised {error}"
    return None


def _send_problem(
    model: Model, step: list[Any], outcome: list[Any], state: dict[str, Any], about: About
) -> Problem | None:
    name = step[1]
    does_more = any(state[what] != model.before[what] for what in ("unread", "pushed", "asked"))
    if does_more and about is About.SENDING:
        return "does_it_all_in_send", "send did more than store the message and publish it"
    if outcome[0] == "raised":
        if model.may_fail and outcome[1] == "ConnectionError":
            return None
        return _why_send_raised(outcome), f"send raised {outcome[1]}: {outcome[2]}"
    stored = state["stored"].get(f"messages/{name}")
    if stored != model.sent[name]:
        return "wrong_form", f"messages/{name} holds {stored!r}; right is the message"
    if about is About.SENDING and name not in {event[0] for event in state["events"]}:
        return "not_announced", f"events: send has returned, and {name} was not published"
    return None


def _why_send_raised(outcome: list[Any]) -> str:
    if "inside of a transaction" in outcome[2]:
        return "inside_the_transaction"
    return "does_it_all_in_send" if outcome[1] == "ConnectionError" else "raises"


def _effect_problem(model: Model, steps: Case, state: dict[str, Any]) -> Problem | None:
    seen, right = seen_effects(state), model.right(state)
    for what in right:
        if seen[what] == right[what]:
            continue
        says = f"{what}: {_listed(what, seen)}; right is {_listed(what, right)}"
        too_many = bool(seen[what] - right[what])
        return (_why_too_many(steps, what) if too_many else _why_too_few(steps, what)), says
    return None


def _why_too_many(steps: Case, what: str) -> str:
    taken = {step[0] for step in steps}
    sends = [step[1] for step in steps if step[0] == "send"]
    is_repeated = bool(taken & {"run_twice", "run_together"}) or len(set(sends)) < len(sends)
    if "restart" in taken:
        return "remembers_in_memory"
    if what == "unread":
        if taken & {"breaks", "run_together"}:
            return "mark_apart"
        return "not_idempotent" if is_repeated else "wrong_reaction"
    return "new_key_each_time" if is_repeated or "breaks" in taken else "wrong_reaction"


def _why_too_few(steps: Case, what: str) -> str:
    taken = {step[0] for step in steps}
    if "down" in taken and "up" not in taken:
        return "reactions_hang_together"
    if taken & {"breaks", "up"}:
        return "lost_after_a_failure"
    return "one_key_for_all" if what == "pushes" else "wrong_reaction"


def _listed(what: str, effects: Effects) -> str:
    each = sorted(effects[what].items())
    if what == "unread":
        return ", ".join(f"{user} {count}" for user, count in each) or "none"
    return ", ".join(f"{count} × {one}" for one, count in each) or "none"


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """What has come of the messages after each step, as far as the failure is about it."""
    model, lines = Model(), []
    what = failure.what.split(":")[0]
    for number, (step, (outcome, state)) in enumerate(zip(case, observation, strict=True)):
        model.take(step, state)
        right, came = "", "raised" if outcome[0] == "raised" else ""
        if what in ("answers", "unread", "pushes") and step[0].startswith("run"):
            right, came = _short(what, model.right(state)), _short(what, seen_effects(state))
        elif step[0] == "send":
            right, came = "stored, told", came or _told(step[1], state)
        lines.append(Line(shown([step]), right, came))
        if shown(case[: number + 1]) == failure.steps:
            break
    return compared(lines, "right", "yours")


def _short(what: str, effects: Effects) -> str:
    """As it fits into the drawing: how many answers, or what each user has got."""
    users: Counter[str] = Counter()
    for one, count in effects[what].items():
        users["answers" if what == "answers" else one.split(":")[0]] += count
    return ", ".join(f"{user} {count}" for user, count in sorted(users.items())) or "none"


def _told(name: str, state: dict[str, Any]) -> str:
    done = ["stored"] if f"messages/{name}" in state["stored"] else []
    return ", ".join(done + ["told" for event in state["events"] if event[0] == name]) or "nothing"


CHECKS = {
    "10.1": Check(cases_of_sending, drive, partial(judge, about=About.SENDING), picture),
    "10.2": Check(cases_of_reacting, drive, partial(judge, about=About.EFFECTS), picture),
    "10.3": Check(cases_of_hindering, drive, partial(judge, about=About.OTHERS), picture),
}
