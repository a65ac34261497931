"""Exercise 7, judging: whom a right broadcasting service reaches on which way. Runs nothing."""

from typing import Any

from course.checks.case import Case, Check, Failure, Observation, counted, shown
from course.checks.ex07_broadcasting_service import CONVERSATION, drive, message
from course.judges.broadcast_cases import devices_cases, failures_cases, worst_moment_cases
from course.judges.broadcast_model import Model, Reached
from course.judges.picture import Line, compared

Problem = tuple[str, str]


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares step by step with the model."""
    model = Model()
    for number, (step, seen) in enumerate(zip(case, observation, strict=True)):
        right = model.take(step)
        problem = _problem(model, right, step, seen, f"m-{number}") if right is not None else None
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    return None


def _problem(model: Model, right: Reached, step: list[Any], seen: list[Any], message_id: str) -> Problem | None:
    outcome, got, pushed = seen
    if outcome[0] == "raised":
        return "one_failure_stops_all" if model.has_faults else "raises", f"{step[0]} raised {outcome[1]}: {outcome[2]}"
    return (
        _extra_copies(right, got)
        or _extra_pushes(right, step, pushed)
        or _missing(model, right, step, got, pushed)
        or _content(right, step, got, pushed, message_id)
        or _answer(right, outcome[1])
    )


def _extra_copies(right: Reached, got: dict[str, list[Any]]) -> Problem | None:
    for device, payloads in got.items():
        if device not in right.devices:
            return "needless_copy", f"the device {device} got the message, and it was not for that device"
        if len(payloads) > 1:
            return "needless_copy", f"the device {device} got the message {counted(len(payloads), 'time')}"
    return None


def _extra_pushes(right: Reached, step: list[Any], pushed: dict[str, list[Any]]) -> Problem | None:
    for user, notifications in pushed.items():
        if user == step[1]:
            return "needless_push", f"{user} has sent the message and got a push for it"
        if user in right.users_on_socket:
            return "needless_push", f"{user} got the message on a socket, and a push, too"
        if user not in right.pushed:
            return "needless_push", f"{user} got a push for a message that was not for {user}"
        if len(notifications) > 1:
            return "needless_push", f"{user} got {len(notifications)} pushes for one message"
    return None


def _missing(
    model: Model, right: Reached, step: list[Any], got: dict[str, list[Any]], pushed: dict[str, list[Any]]
) -> Problem | None:
    missing = {device: user for device, user in right.devices.items() if device not in got}
    for device, user in missing.items():
        what = f"the device {device} of {user} did not get the message"
        if set(missing.values()) == {step[1]}:
            return "forgets_the_senders_devices", what
        if model.has_faults:
            return "one_failure_stops_all", what
        return "neither_socket_nor_push" if not _others(right, user, got) else "first_device_only", what
    for user in right.pushed:
        if user not in pushed:
            is_others_fault = model.has_faults and not model.has_broken_device(user)
            kind = "one_failure_stops_all" if is_others_fault else "neither_socket_nor_push"
            return kind, f"{user} got the message on no socket, and no push"
    return None


def _others(right: Reached, user: str, got: dict[str, list[Any]]) -> list[str]:
    return [device for device in got if right.devices[device] == user]


def _content(
    right: Reached, step: list[Any], got: dict[str, list[Any]], pushed: dict[str, list[Any]], message_id: str
) -> Problem | None:
    sent = message(message_id, step[1], step[-1])
    action = "new_message" if step[0] == "broadcast" else "direct_message"
    payload = {"action": action, "conversation_id": CONVERSATION, "data": sent}
    notification = {"title": sent["sender_name"], "body": sent["content"], "conversation_id": CONVERSATION}
    for device in right.devices:
        if got[device] != [payload]:
            return "wrong_form", f"the device {device} got {got[device][0]}, right is {payload}"
    for user in right.pushed:
        if pushed[user] != [notification]:
            return "wrong_form", f"the push to {user} was {pushed[user][0]}, right is {notification}"
    return None


def _answer(right: Reached, answer: Any) -> Problem | None:
    if answer != right.answer:
        return "wrong_answer", f"it returned {answer!r}, right is {right.answer!r}"
    return None


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """Who was reached on which way, at each step."""
    model, lines = Model(), []
    for number, (step, seen) in enumerate(zip(case, observation, strict=True)):
        right = model.take(step)
        if right is None:
            lines.append(Line(shown([step]), "", ""))
        else:
            raised = f"raised {seen[0][1]}, " if seen[0][0] == "raised" else ""
            lines.append(Line(shown([step]), _ways(right.devices, right.pushed), raised + _ways(seen[1], seen[2])))
        if shown(case[: number + 1]) == failure.steps:
            break
    return compared(lines, "right", "yours")


def _ways(devices: Any, pushed: Any) -> str:
    return ", ".join([*sorted(devices), *(f"push {user}" for user in sorted(pushed))]) or "nobody"


CHECKS = {
    "7.1": Check(devices_cases, drive, judge, picture),
    "7.2": Check(worst_moment_cases, drive, judge, picture),
    "7.3": Check(failures_cases, drive, judge, picture),
}
