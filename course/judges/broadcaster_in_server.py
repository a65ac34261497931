"""Judges a learner's broadcaster in the real server: commands as Redis saw them, texts as the sockets got them."""

import random

from course.checks.broadcaster_in_server import ANSWER_LOST
from course.checks.case import Case, Failure, Observation, counted
from course.checks.case import shown as shown_whole
from course.judges.picture import Line, compared

Problem = tuple[str, str]


def judge_in_server(case: Case, observation: Observation) -> Failure | None:
    """The first message that cost too much, or reached somebody not exactly once."""
    if observation[0][0] == "no start":
        return Failure("raises", f"the servers did not start: {observation[0][1]}", "start")
    seen_in_all = observation[-1]
    for number, (step, seen) in enumerate(zip(case[:-1], observation[:-1], strict=False)):
        if step[0] != "say":
            continue
        problem = _problem(case, step, seen, seen_in_all["commands"][step[2]], seen_in_all["got"])
        if problem is not None and seen_in_all["raised"]:
            problem = "raises", f"in the server it raised in {seen_in_all['raised'][0]}"
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    if len(observation) < len(case):
        return Failure("wrong_form", "the observation ends too early", shown(case))
    return None


def shown(case: Case) -> str:
    """With all who have joined as one step."""
    joined = counted(sum(step[0] == "join" for step in case), "socket")
    return shown_whole([f"{joined} on two servers", *(step for step in case if step[0] != "join")])


def _problem(
    case: Case, step: list[str], seen: list[str], commands: int, got: dict[str, dict[str, int]]
) -> Problem | None:
    _, sender, text = step
    right, sockets = _commands(text), sum(one[0] == "join" for one in case)
    if seen[0] != "acked":
        return "raises", f"the server took {text!r} from {sender}, and did not answer"
    if commands > right:
        what = f"Redis got {counted(commands, 'command')} for {text!r}, to {sockets} sockets; right is {right}"
        return "a_command_a_member", what
    if commands < right:
        return "gives_up", f"Redis got {counted(commands, 'command')} for {text!r}, right is {right}"
    for device, texts in got.items():
        copies, expected = texts[text], int(device != sender)
        if copies != expected:
            what = f"the socket {device} got {text!r} {counted(copies, 'time')}, right is {expected}"
            return "delivers_twice" if copies > expected else "skips_members", what
    return None


def _commands(text: str) -> int:
    return 2 if ANSWER_LOST in text else 1


def picture_of_server(case: Case, observation: Observation, failure: Failure) -> str:
    """Commands and copies for each message."""
    lines = [Line(shown([step for step in case if step[0] == "join"]), "", "")]
    for number, step in enumerate(case[:-1]):
        if step[0] == "say" and isinstance(observation[-1], dict):
            in_all, text = observation[-1], step[2]
            if text not in in_all["commands"]:
                break
            sockets = sum(one[0] == "join" for one in case)
            right = f"{_commands(text)} cmd, {sockets - 1} got"
            came = f"{in_all['commands'][text]} cmd, {sum(texts[text] for texts in in_all['got'].values())} got"
            lines.append(Line(shown_whole([step]), right, came))
        if shown(case[: number + 1]) == failure.steps:
            break
    return compared(lines, "right", "yours")


def server_cases(source: random.Random) -> list[Case]:
    """One: users on two instances, one of them on both; a command whose answer is lost."""
    users = source.sample(["bob", "cid", "dan", "eve", "fay", "gus", "hal", "ivy"], 6)
    joins = [["join", "ann-phone", "ann", 0], ["join", "ann-laptop", "ann", 1]]
    joins += [["join", f"{user}-phone", user, number % 2] for number, user in enumerate(users)]
    number = source.randint(100, 999)
    says = [
        ["say", "ann-phone", f"hello {number}"],
        ["say", f"{users[1]}-phone", f"is anybody here? {number}"],
        ["say", "ann-phone", f"yes, all of us {number} {ANSWER_LOST}"],
        ["say", "ann-laptop", f"good {number}"],
    ]
    return [[*joins, *says, ["count"]]]
