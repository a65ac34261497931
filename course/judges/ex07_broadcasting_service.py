"""Exercise 7, judging: whom a right broadcasting service reaches on which way. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case, Check, Failure, Observation, counted, shown
from course.checks.ex07_broadcasting_service import CONVERSATION, drive, message
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
    for device, user in right.devices.items():
        if device in got:
            continue
        what = f"the device {device} of {user} did not get the message"
        if model.has_faults:
            return "one_failure_stops_all", what
        if user == step[1]:
            return "forgets_the_senders_devices", what
        return "neither_socket_nor_push" if not _others(right, user, got) else "first_device_only", what
    for user in right.pushed:
        if user not in pushed:
            kind = "one_failure_stops_all" if model.has_faults else "neither_socket_nor_push"
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


# -- cases: all the small ones, then random longer ones -----------------------------------------------------------

NAMES = ("bob", "cid", "dan", "eve", "fay", "gus", "hal", "ivy", "jon", "kim")
KINDS = ("phone", "web", "tablet")
WORDS = ("hello", "are you there?", "see you", "12 o'clock", "it is raining")


class _Maker:
    """Writes down steps, with names that are new each time."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.names = source.sample(NAMES, len(NAMES))
        self.case: Case = []
        self.made: list[str] = []  # devices

    def member(self, *kinds: str) -> tuple[str, list[str]]:
        """A member with devices of these kinds."""
        user = self.names.pop()
        self.case.append(["member", user])
        devices = [self.device(user, kind) for kind in kinds]
        return user, devices

    def device(self, user: str, kind: str) -> str:
        """One more device."""
        self.made.append(f"{user}-{kind}-{len(self.made) + 1}")
        self.case.append(["device", user, self.made[-1], kind])
        return self.made[-1]

    def broadcast(self, sender: str, device: str | None) -> None:
        """Somebody says something."""
        self.case.append(["broadcast", sender, device, self.text()])

    def direct(self, sender: str, user: str, kind: str | None) -> None:
        """Somebody says something to one."""
        self.case.append(["direct", sender, user, kind, self.text()])

    def text(self) -> str:
        """Something to say."""
        return f"{self.source.choice(WORDS)} {self.source.randint(10, 99)}"


_LISTS: list[tuple[str, ...]] = [(), ("phone",), ("phone", "web"), ("web", "web")]


def _devices(source: random.Random) -> list[Case]:
    """Senders and receivers with no, one and two devices; direct messages to each kind; then larger ones."""
    cases = []
    for theirs, own in itertools.product(_LISTS, _LISTS):
        maker = _Maker(source)
        sender, devices = maker.member(*own)
        maker.member(*theirs)
        maker.broadcast(sender, devices[0] if devices else None)
        cases.append(maker.case)
    for theirs, kind in itertools.product(_LISTS, [None, "phone", "web"]):
        maker = _Maker(source)
        user, _ = maker.member(*theirs)
        maker.direct("ann", user, kind)
        cases.append(maker.case)
    return sorted(cases, key=len) + [_longer(source, []) for _ in range(30)]


def _worst_moment(source: random.Random) -> list[Case]:
    """Every combination of devices that stay and devices that leave, and then larger ones."""
    cases = []
    for count in (1, 2, 3):
        for leaving, direct in itertools.product(itertools.product([True, False], repeat=count), [False, True]):
            maker = _Maker(source)
            user, devices = maker.member(*(source.choice(KINDS) for _ in range(count)))
            maker.case += [["leaves", device] for device, leaves in zip(devices, leaving, strict=True) if leaves]
            if direct:
                maker.direct("ann", user, None)
            else:
                maker.broadcast("ann", None)
            cases.append(maker.case)
    return sorted(cases, key=len) + [_longer(source, ["leaves"]) for _ in range(40)]


def _failures(source: random.Random) -> list[Case]:
    """One failure at every place, two at every two places, then larger cases."""
    faults = ["breaks", "look fails", "push fails"]
    cases = []
    for kinds, failures in ((["phone"], 1), (["phone", "web"], 1), (["phone", "web"], 2)):
        members = 3 if failures == 2 else 2
        places = list(itertools.product(range(members), faults))
        cases += [_failing(source, members, kinds, list(some)) for some in itertools.combinations(places, failures)]
    return cases + [_longer(source, ["leaves", *faults]) for _ in range(40)]


def _failing(source: random.Random, count: int, kinds: list[str], faults: list[tuple[int, str]]) -> Case:
    """Members with such devices, but for those whose push fails: they have none."""
    maker = _Maker(source)
    members = [maker.member(*(kinds if (number, "push fails") not in faults else [])) for number in range(count)]
    for number, fault in faults:
        user, devices = members[number]
        if fault != "breaks":
            maker.case.append([fault, user])
        elif devices:
            maker.case.append([fault, devices[0]])
    maker.broadcast("ann", None)
    return maker.case


def _longer(source: random.Random, faults: list[str]) -> Case:
    maker = _Maker(source)
    members = [
        maker.member(*(source.choice(KINDS) for _ in range(source.choice([0, 1, 1, 2, 3]))))
        for _ in range(source.randint(3, 7))
    ]
    for _ in range(source.randint(1, 3) if faults else 0):
        fault = source.choice(faults)
        user, devices = source.choice(members)
        if fault in ("look fails", "push fails"):
            maker.case.append([fault, user])
        elif devices:
            maker.case.append([fault, source.choice(devices)])
    for _ in range(source.randint(2, 4)):
        sender, own = source.choice(members)
        if source.random() < 0.6:
            maker.broadcast(sender, source.choice([*own, None]))
        else:
            others = [user for user, _ in members if user != sender]
            maker.direct(sender, source.choice(others), source.choice([None, *KINDS]))
    return maker.case


CHECKS = {
    "7.1": Check(_devices, drive, judge, picture),
    "7.2": Check(_worst_moment, drive, judge, picture),
    "7.3": Check(_failures, drive, judge, picture),
}
