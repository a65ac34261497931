"""Exercise 1, judging: what a right connection manager does in a sequence of steps. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex01_connection_manager import LIMIT, drive
from course.judges.picture import Line, compared

USERS = ("ann", "bob")


class Model:
    """What a right manager holds."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []  # (user, socket), in the order of connecting
        self.here: set[int] = set()
        self.dead: set[str] = set()
        self.got: dict[str, int] = {}

    def count(self, user: str) -> int:
        """The user's connections."""
        return sum(1 for number in self.here if self.made[number][0] == user)

    def connect(self, user: str, socket: str) -> bool:
        """Whether there was room."""
        if self.count(user) >= LIMIT:
            return False
        self.here.add(len(self.made))
        self.made.append((user, socket))
        return True

    def send(self, user: str) -> bool:
        """Whether anybody got it. The dead are taken out."""
        mine = [number for number in self.here if self.made[number][0] == user]
        alive = [number for number in mine if self.made[number][1] not in self.dead]
        self.here -= set(mine) - set(alive)
        for number in alive:
            name = self.made[number][1]
            self.got[name] = self.got.get(name, 0) + 1
        return bool(alive)

    def users(self) -> dict[str, int]:
        """Users who are there, and how often."""
        return {user: self.count(user) for user in USERS if self.count(user)}


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model."""
    model = Model()
    for number, (step, (outcome, state, got)) in enumerate(zip(case, observation, strict=True)):
        wrong = _outcome_problem(model, step, outcome) or _state_problem(model, step, state) or _got(model, got)
        if wrong is not None:
            return Failure(*wrong, shown(case[: number + 1]))
    return None


Problem = tuple[str, str]


def _outcome_problem(model: Model, step: list[Any], outcome: list[Any]) -> Problem | None:
    match step:
        case ["connect", user, name]:
            return _connect_problem(outcome, expected=model.connect(user, name))
        case ["connect_fails", user, _]:
            return _failed_problem(model, user, outcome)
        case ["connect_together", user, names]:
            expected = sum(model.connect(user, name) for name in names)
            let_in = sum(1 for one in outcome if one[0] == "returned")
            if let_in > expected:
                return "checks_then_awaits", f"{let_in} connections got in, {expected} were free"
            if let_in < expected:
                return "counts_failed_accepts", f"{let_in} connections got in, {expected} were free"
        case ["disconnect", number]:
            model.here.discard(number)
            if outcome[0] == "raised":
                return "indexes_disagree", f"disconnect raised {outcome[1]}"
        case ["dies", name]:
            model.dead.add(name)
        case ["send", user]:
            return _send_problem(outcome, expected=model.send(user))
    return None


def _connect_problem(outcome: list[Any], *, expected: bool) -> Problem | None:
    if expected and outcome == ["returned", "an id that another connection has"]:
        return "same_id_twice", "connect returned an id that another connection has"
    if expected and outcome != ["returned", "an id"]:
        what = f"connect raised {outcome[1]}" if outcome[0] == "raised" else "connect returned no connection id"
        return "counts_failed_accepts", f"{what}, but there was room"
    if not expected and outcome[0] == "returned":
        return "no_limit", f"a connection over the limit of {LIMIT} got in"
    if not expected and outcome[1] != "ConnectionLimitExceeded":
        return "no_limit", f"over the limit connect raised {outcome[1]}, not ConnectionLimitExceeded"
    return None


def _failed_problem(model: Model, user: str, outcome: list[Any]) -> Problem | None:
    if outcome[0] == "returned":
        return "counts_failed_accepts", "accept failed, and connect returned as if it had worked"
    if model.count(user) >= LIMIT and outcome[1] != "ConnectionLimitExceeded":
        return "no_limit", f"over the limit connect raised {outcome[1]}, not ConnectionLimitExceeded"
    return None


def _send_problem(outcome: list[Any], *, expected: bool) -> Problem | None:
    if outcome[0] == "raised":
        changed = "changed size during iteration" in outcome[2]
        return (
            "mutates_while_iterating" if changed else "one_dead_stops_all",
            f"send_to_user raised {outcome[1]}: {outcome[2]}",
        )
    if outcome[1] is not expected:
        return "wrong_answer_of_send", f"send_to_user returned {outcome[1]!r}, not {expected}"
    return None


def _state_problem(model: Model, step: list[Any], state: dict[str, Any]) -> Problem | None:
    users = state["users"]
    if (empty := [user for user, count in users.items() if count == 0]) and {
        user: count for user, count in users.items() if count
    } == model.users():
        return "leaves_empty", f"connections_by_user still has {empty[0]}, who has no connection"
    if users != model.users():
        kind = {"send": "keeps_dead", "connect_fails": "counts_failed_accepts", "connect": "overwrites"}
        return kind.get(step[0], "indexes_disagree"), f"connections_by_user counts {users}, right is {model.users()}"
    if state["ids"] != len(model.here) or not state["agree"]:
        return "indexes_disagree", f"connections_by_id has {state['ids']} entries, right is {len(model.here)}"
    return None


def _got(model: Model, got: dict[str, int]) -> Problem | None:
    if got != model.got:
        return "first_device_only", f"messages per socket are {got}, right is {model.got}"
    return None


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """What ``connections_by_user`` counts after each step, or what ``send_to_user`` answered."""
    model, lines = Model(), []
    for step, (outcome, state, _) in zip(case, observation, strict=True):
        _outcome_problem(model, step, outcome)
        lines.append(Line(shown([step]), _counts(model.users()), _counts(state["users"]) + _raised(outcome)))
        if len(lines) == failure.steps.count(" → ") + 1:
            break
    return compared(lines, "right", "yours")


def _counts(users: dict[str, int]) -> str:
    return ", ".join(f"{user} {count}" for user, count in sorted(users.items())) or "nobody"


def _raised(outcome: list[Any]) -> str:
    return f", {outcome[1]}" if outcome[:1] == ["raised"] else ""


# -- cases: all the small ones, then random longer ones -----------------------------------------------------------


def _named_sockets(steps: tuple[list[Any], ...]) -> Case:
    """Gives each connect a socket of its own, and drops what refers to connections that do not exist."""
    case: Case = []
    sockets = connections = 0
    for step in steps:
        if step[0] in ("connect", "connect_fails"):
            sockets += 1
            case.append([step[0], step[1], f"s{sockets}"])
            connections += step[0] == "connect"
        elif step[0] == "connect_together":
            names = [f"s{sockets + extra}" for extra in range(1, 5)]
            sockets += 4
            case.append([step[0], step[1], names])
        elif step[0] == "disconnect" and connections:
            case.append(["disconnect", step[1] % connections])
        elif step[0] == "dies" and sockets:
            case.append(["dies", f"s{1 + step[1] % sockets}"])
        elif step[0] == "send":
            case.append(step)
    return case


def _exhaustive_then_random(alphabet: list[list[Any]], longest: int, randomly: int) -> MakeCases:
    def cases(source: random.Random) -> list[Case]:
        small = [
            _within_limit(_named_sockets(steps))
            for length in range(1, longest + 1)
            for steps in itertools.product(alphabet, repeat=length)
        ]
        longer = [
            _within_limit(_named_sockets(tuple(source.choice(alphabet) for _ in range(source.randint(5, 14)))))
            for _ in range(randomly)
        ]
        unique: dict[str, Case] = {}
        for case in small:
            if case:
                unique.setdefault(str(case), case)
        return sorted(unique.values(), key=_size) + longer

    return cases


def _size(case: Case) -> int:
    """How much a reader has to follow: handshakes at the same time count each."""
    return sum(len(step[2]) if step[0] == "connect_together" else 1 for step in case)


def _within_limit(case: Case) -> Case:
    """Leaves out disconnects of connections that a right manager would have refused to make."""
    model, kept = Model(), []
    for step in case:
        if step[0] == "disconnect" and step[1] >= len(model.made):
            continue
        if step[0] == "connect":
            model.connect(step[1], step[2])
        elif step[0] == "connect_together":
            for name in step[2]:
                model.connect(step[1], name)
        elif step[0] == "disconnect":
            model.here.discard(step[1])
        elif step[0] == "dies":
            model.dead.add(step[1])
        elif step[0] == "send":
            model.send(step[1])
        kept.append(step)
    return kept


_BASIC: list[list[Any]] = [["connect", "ann"], ["connect", "bob"], ["disconnect", 0], ["disconnect", 1]]
_LIMIT: list[list[Any]] = [["connect", "ann"], ["connect_fails", "ann"], ["disconnect", 0], ["connect_together", "ann"]]
_SEND: list[list[Any]] = [["connect", "ann"], ["connect", "bob"], ["dies", 0], ["send", "ann"], ["disconnect", 0]]

CHECKS = {
    "1.1": Check(_exhaustive_then_random(_BASIC, 4, 40), drive, judge, picture),
    "1.2": Check(_exhaustive_then_random(_LIMIT, 4, 40), drive, judge, picture),
    "1.3": Check(_exhaustive_then_random(_SEND, 4, 60), drive, judge, picture),
}
