"""Exercise 6, judging: who has to get what, on which instance, whatever happens to Redis. Runs nothing."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from course.checks.case import Case, Check, Failure, Observation, shown
from course.checks.ex06_router import INSTANCES, drive
from course.checks.fake_channels import LOOP
from course.checks.router_in_server import drive_server
from course.judges.picture import Line, compared
from course.judges.router_cases import fault_cases, frugal_cases, placement_cases
from course.judges.router_in_server import judge_server, server_cases
from course.judges.router_in_server import picture as picture_of_servers

Problem = tuple[str, str]
MANY_TRIES = 10
"""In one step four pauses end. Whoever tries more often does not pause."""


class Model:
    """Who is where, and whether Redis is there."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, str]] = {}  # conversation -> connection -> instance
        self.dead: set[str] = set()
        self.is_away = False

    def take(self, step: list[Any]) -> None:
        """One step."""
        match step:
            case ["join", name, conversation, connection]:
                self.members.setdefault(conversation, {})[connection] = name
            case ["leave", _, conversation, connection]:
                self.members.get(conversation, {}).pop(connection, None)
            case ["dies", connection]:
                self.dead.add(connection)
            case ["redis_goes" | "redis_returns" as what]:
                self.is_away = what == "redis_goes"

    def receivers(self, step: list[Any]) -> dict[str, str]:
        """Who has to get something in this step, and where they are."""
        if step[0] != "send" or self.is_away:
            return {}
        members = self.members.get(step[2], {})
        return {connection: name for connection, name in members.items() if connection not in self.dead}

    def instances_in(self, conversation: str) -> set[str]:
        """Where somebody is in it."""
        return set(self.members.get(conversation, {}).values())


def judge_delivery(case: Case, observation: Observation) -> Failure | None:
    """Each member gets each text once, and nobody else."""
    return _judge(case, observation, _got_problem)


def judge_frugal(case: Case, observation: Observation) -> Failure | None:
    """One publish a text, and it is heard where there are members and nowhere else."""
    return _judge(case, observation, _cost_problem)


def _judge(case: Case, observation: Observation, problem_of: Callable[..., Problem | None]) -> Failure | None:
    model = Model()
    for number, (step, (outcome, got, counts)) in enumerate(zip(case, observation, strict=True)):
        model.take(step)
        steps = case[: number + 1]
        problem = (
            _outcome_problem(model, step, outcome)
            or _tries_problem(counts)
            or _loop_problem(counts)
            or problem_of(model, steps, got, counts)
        )
        if problem is not None:
            return Failure(*problem, shown(steps))
    return None


def _outcome_problem(model: Model, step: list[Any], outcome: list[Any]) -> Problem | None:
    raised = outcome[0] == "raised"
    if step[0] == "send" and model.is_away:
        if not raised:
            return "swallows", "Redis is away, and send returned as if the text had been sent"
        if outcome[1] != "ConnectionError":
            return "swallows", f"Redis is away, and send raised {outcome[1]}, not the ConnectionError that tells it"
        return None
    if raised:
        kind = "join_needs_redis" if step[0] in ("join", "leave") and outcome[1] == "ConnectionError" else "raises"
        return kind, f"{step[0]} raised {outcome[1]}: {outcome[2]}"
    return None


def _tries_problem(counts: dict[str, Any]) -> Problem | None:
    for name, tries in counts["tries"].items():
        if tries > MANY_TRIES:
            return "no_pause", f"{name} tried to open a link {tries} times without a pause in between"
    return None


def _loop_problem(counts: dict[str, Any]) -> Problem | None:
    if counts["published"] > LOOP:
        return "loops", f"one text was published more than {LOOP} times"
    return None


def _got_problem(model: Model, steps: Case, got: dict[str, list[str]], counts: dict[str, Any]) -> Problem | None:
    step = steps[-1]
    right = model.receivers(step)
    texts = [step[3]] if step[0] == "send" else []
    missing = {connection: name for connection, name in right.items() if not set(texts) <= set(got.get(connection, ()))}
    if missing:
        who, name = next(iter(missing.items()))
        return _why_missing(model, steps, right, missing, counts), f"{who} on {name} did not get {texts[0]}"
    for connection, came in got.items():
        if connection not in right or set(came) != set(texts):
            return "wrong_receivers", f"{connection} got {came[0]}, and should not have"
        if len(came) > 1:
            return "delivers_twice", f"{connection} on {right[connection]} got {came[0]} {_times(len(came))}"
    return None


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _why_missing(
    model: Model, steps: Case, right: dict[str, str], missing: dict[str, str], counts: dict[str, Any]
) -> str:
    """The misconception of whoever forgets these."""
    sender, conversation = steps[-1][1:3]
    where = set(missing.values())
    if any(step[0] in ("redis_goes", "cut") for step in steps):
        name = min(where)
        if counts["listener"][name] != "listens":
            return "dies_quietly"
        return "forgets_subscriptions" if counts["links"][name] else "keeps_the_broken_link"
    if model.dead & set(model.members[conversation]):
        return "one_dead_stops_all"
    if any(step[0] == "leave" and step[1] in where and step[2] == conversation for step in steps):
        return "unsubscribes_too_early"
    if Counter(missing.values()) != Counter(name for name in right.values() if name in where):
        return "misses_a_member"  # others on the same instance got it
    if where == {sender}:
        return "skips_own_instance"
    return "local_only" if sender not in where else "misses_a_member"


def _cost_problem(model: Model, steps: Case, _got: dict[str, list[str]], counts: dict[str, Any]) -> Problem | None:
    step = steps[-1]
    if step[0] != "send" or model.is_away:
        return None
    if counts["published"] != 1:
        return "several_publishes", f"one text cost {counts['published']} publishes, right is 1"
    used = model.instances_in(step[2])
    for name in INSTANCES:
        if counts["heard"][name] and name not in used:
            return "everyone_listens", f"{name} heard {step[3]}, and nobody on {name} is in {step[2]}"
        if not counts["heard"][name] and name in used:
            has_left = any(one[0] == "leave" and one[1] == name for one in steps)
            kind = "unsubscribes_too_early" if has_left else "forgets_subscriptions"
            return kind, f"{name} did not hear {step[3]}, and has somebody in {step[2]}"
    return None


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """Who should get something in each step, and who did."""

    def right(model: Model, step: list[Any]) -> str:
        return _list(model.receivers(step))

    def came(got: dict[str, list[str]], _counts: dict[str, Any]) -> str:
        return _list([f"{who} x{len(texts)}" if len(texts) > 1 else who for who, texts in got.items()])

    return _compared(case, observation, failure, right, came)


def picture_of_costs(case: Case, observation: Observation, failure: Failure) -> str:
    """How many publishes, and who hears them."""

    def right(model: Model, step: list[Any]) -> str:
        return f"1 to {_list(model.instances_in(step[2]))}" if step[0] == "send" else _list([])

    def came(_got: dict[str, list[str]], counts: dict[str, Any]) -> str:
        hear = [name for name in INSTANCES if counts["heard"][name]]
        return f"{counts['published']} to {_list(hear)}" if counts["published"] else _list([])

    return _compared(case, observation, failure, right, came)


def _compared(case: Case, observation: Observation, failure: Failure, right: Any, came: Any) -> str:
    model, lines = Model(), []
    for number, (step, (outcome, got, counts)) in enumerate(zip(case, observation, strict=True)):
        model.take(step)
        should = "an error" if step[0] == "send" and model.is_away else right(model, step)
        lines.append(Line(shown([step]), should, outcome[1] if outcome[0] == "raised" else came(got, counts)))
        if shown(case[: number + 1]) == failure.steps:
            break
    return compared(lines, "right", "yours")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "–"


CHECKS = {
    "6.1": Check(placement_cases, drive, judge_delivery, picture),
    "6.2": Check(frugal_cases, drive, judge_frugal, picture_of_costs),
    "6.3": Check(fault_cases, drive, judge_delivery, picture),
    "6.4": Check(server_cases, drive_server, judge_server, picture_of_servers),
}
