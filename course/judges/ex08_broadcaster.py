"""Exercise 8, judging: how many commands a message costs, and that everybody gets it once. Runs nothing."""

from typing import Any

from course.checks.broadcaster_in_server import drive_in_server
from course.checks.broadcaster_parts import CHANNEL
from course.checks.case import Case, Check, Failure, Observation, counted
from course.checks.case import shown as shown_whole
from course.checks.ex08_broadcaster import drive, drive_gated
from course.judges.broadcaster_cases import one_command_cases, tried_again_cases
from course.judges.broadcaster_in_server import judge_in_server, picture_of_server, server_cases
from course.judges.picture import Line, compared
from course.judges.wide_fan_out import gated_cases, judge_gated

Problem = tuple[str, str]


class Model:
    """What right broadcasters do: who is where, and what has been said."""

    def __init__(self) -> None:
        self.attempts = 1
        self.remember = 1
        self.users: dict[tuple[int, str], list[str]] = {}  # server, conversation -> users
        self.said: list[str] = []  # the conversations of the messages that reached everybody

    def take(self, step: list[Any]) -> tuple[int, int, bool]:
        """How many commands Redis gets, how many copies each member gets, whether publish raises."""
        match step:
            case ["attempts", number]:
                self.attempts = number
            case ["remember", number]:
                self.remember = number
            case ["here", server, conversation, users]:
                self.users[server, conversation] = users
            case ["publish", _, _, _, fates]:
                tries = ([*fates, "ok"] if "ok" not in fates else fates[: fates.index("ok") + 1])[: self.attempts]
                return len(tries), int(any(fate != "lost" for fate in tries)), tries[-1] != "ok"
            case ["many", _, _, number]:
                return number, number, False
        return 0, 0, False

    def members(self, conversation: str) -> list[list[str]]:
        """Each server's members of a conversation."""
        servers = 1 + max(server for server, _ in self.users)
        return [self.users.get((server, conversation), []) for server in range(servers)]


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model."""
    model = Model()
    for number, (step, seen) in enumerate(zip(case, observation, strict=True)):
        problem = _problem(model, step, seen)
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    return None


def shown(case: Case) -> str:
    """Without what does not matter in this case."""
    kinds = {step[0] for step in case}
    quiet = {"remember"} if not kinds & {"again", "many"} else set()
    if not any(step[-1] for step in case if step[0] == "publish"):
        quiet.add("attempts")
    return shown_whole([_short(step) for step in case if step[0] not in quiet])


def _short(step: list[Any]) -> list[Any]:
    return step[:-1] if step[0] == "publish" and not step[-1] else step


def _problem(model: Model, step: list[Any], seen: dict[str, Any]) -> Problem | None:
    commands, copies, raises = model.take(step)
    if step[0] in ("publish", "many"):
        found = _raised(seen) or _commands(model, step, seen, commands) or _copies(model, step, seen, copies)
        return found or _outcome(step, seen, raises=raises) or _held(model, seen)
    if step[0] == "again" and any(seen["got"]):
        kind = "delivers_twice" if step[1] == 0 else "forgets_too_early"
        return kind, f"a text that had come before was delivered again; remember is {model.remember}"
    return None


def _raised(seen: dict[str, Any]) -> Problem | None:
    outcome = seen["outcome"]
    if outcome[0] == "raised" and outcome[1] != "ConnectionError":
        return "raises", f"publish raised {outcome[1]}: {outcome[2]}"
    return None


def _commands(model: Model, step: list[Any], seen: dict[str, Any], right: int) -> Problem | None:
    came, conversation = len(seen["channels"]), step[2]
    members = sum(map(len, model.members(conversation)))
    fates = step[4] if step[0] == "publish" else []
    attempts = f"publish made {counted(came, 'attempt')}, right is {right} with attempts={model.attempts}"
    if came > right and not fates:
        commands = f"Redis got {counted(came, 'command')} for {counted(members, 'member')}, right is {right}"
        return "a_command_a_member", commands
    if came != right:
        kind = "wrong_form" if not fates else "never_gives_up" if came > right else "gives_up"
        return kind, attempts
    if other := [name for name in seen["channels"] if name != CHANNEL + conversation]:
        return "wrong_form", f"it was published on {other[0]!r}, right is {CHANNEL + conversation!r}"
    return None


def _copies(model: Model, step: list[Any], seen: dict[str, Any], right: int) -> Problem | None:
    if seen["failed"]:
        return "raises", f"receive raised {seen['failed'][0][1]}: {seen['failed'][0][2]}"
    for server, (users, got) in enumerate(zip(model.members(step[2]), seen["got"], strict=False)):
        for user, message in got:
            if user not in users:
                return "wrong_form", f"{user} got a message and is not in {step[2]} on server {server}"
            if not _is_right(step, message):
                return "wrong_form", f"{user} got {message}, right is id, conversation_id and text"
        for user in users:
            ids = [message["id"] for name, message in got if name == user]
            if len(ids) != right:
                return _miscounted(step, user, ids, right, is_first=len(model.said) == 0)
    model.said.append(step[2])
    return None


def _is_right(step: list[Any], message: Any) -> bool:
    if not isinstance(message, dict) or message.keys() != {"id", "conversation_id", "text"}:
        return False
    return bool(message["conversation_id"] == step[2] and (step[0] == "many" or message["text"] == step[3]))


def _miscounted(step: list[Any], user: str, ids: list[Any], right: int, *, is_first: bool) -> Problem:
    what = f"{user} got the message {counted(len(ids), 'time')}, right is {right}"
    if len(ids) < right:
        return "skips_members" if is_first else "drops_new_messages", what
    if right == 0:
        return "delivers_what_failed", f"{what}: none of the commands reached Redis"
    if len(set(map(str, ids))) == len(ids):
        return "new_id_each_try", f"{what}; each copy has another id"
    return "delivers_twice" if "answer lost" in step[-1] else "remembers_too_late", what


def _outcome(step: list[Any], seen: dict[str, Any], *, raises: bool) -> Problem | None:
    outcome = seen["outcome"]
    if step[0] == "many":
        return None
    if outcome[0] == "raised":
        what = f"publish raised {outcome[1]}, and one of its attempts had worked"
        return None if raises else ("gives_up", what)
    if raises:
        return "says_it_worked", f"every attempt failed, and publish returned {outcome[1]!r}"
    ids = {message["id"] for got in seen["got"] for _, message in got}
    if ids and ids != {outcome[1]}:
        return "wrong_form", f"publish returned {outcome[1]!r}, and the message has the id {ids.pop()!r}"
    return None


def _held(model: Model, seen: dict[str, Any]) -> Problem | None:
    most, held = 5 * model.remember, max(seen.get("held", [0]))
    if held > most:
        what = f"after all of these a broadcaster holds {held} things; remember is {model.remember}"
        return "remembers_everything", what
    return None


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """Commands and copies, step by step."""
    model, lines = Model(), []
    for number, (step, seen) in enumerate(zip(case, observation, strict=True)):
        commands, copies, _ = model.take(step)
        if step[0] in ("publish", "many", "again"):
            conversation = step[2] if step[0] != "again" else ""
            right = _cost(commands, copies * sum(map(len, model.members(conversation))))
            came = _cost(len(seen["channels"]), sum(map(len, seen["got"])))
            lines.append(Line(shown([step]), right, came))
        if shown(case[: number + 1]) == failure.steps:
            break
    return compared(lines, "right", "yours")


def _cost(commands: int, copies: int) -> str:
    return f"{commands} cmd, {copies} got"


CHECKS = {
    "8.1": Check(one_command_cases, drive, judge, picture),
    "8.2": Check(tried_again_cases, drive, judge, picture),
    "8.3": Check(gated_cases, drive_gated, judge_gated),
    "8.4": Check(server_cases, drive_in_server, judge_in_server, picture_of_server),
}
