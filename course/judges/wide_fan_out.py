"""Exercise 8, judging: one message to many members, with bounds on memory and on what is under way. Runs nothing."""

import itertools
import random
from typing import Any

from course.checks.case import Case, Failure, Observation, counted, shown
from course.checks.ex08_broadcaster import names

Problem = tuple[str, str]


def judge_gated(case: Case, observation: Observation) -> Failure | None:
    """Bounds first, then who got it."""
    settings = {step[0]: step[1:] for step in case}
    (seen,) = observation
    problem = _held(settings, seen) or _under_way(settings, seen) or _reached(settings, seen)
    return Failure(*problem, shown(case)) if problem is not None else None


def _held(settings: dict[str, Any], seen: dict[str, Any]) -> Problem | None:
    (size,), (at_once,), (messages,) = settings["page_size"], settings["at_once"], settings["messages"]
    if seen["all"]:
        return "whole_conversation", "receive asked for all members at once; here() gives them in pages"
    for limit, waiting in seen["pages"]:
        if limit > size:
            return "whole_conversation", f"receive asked for a page of {counted(limit, 'member')}, page_size is {size}"
        if waiting > at_once + (messages - 1) * size:
            return (
                "whole_conversation",
                f"receive read a page while {counted(waiting, 'member')} of the pages before had not even begun",
            )
    return None


def _under_way(settings: dict[str, Any], seen: dict[str, Any]) -> Problem | None:
    (size,), (at_once,), (_, members) = settings["page_size"], settings["at_once"], settings["members"]
    if seen["peak"] > at_once:
        return "too_many_at_once", f"{counted(seen['peak'], 'send')} at the same time, at_once is {at_once}"
    if seen["raised"] == "stuck":
        return "never_ends", "every send had ended, and receive had not"
    if seen["peak"] < min(size, at_once, members):
        right = min(size, at_once, members)
        return (
            "one_after_the_other",
            f"never more than {counted(seen['peak'], 'send')} at the same time, right is {right}",
        )
    return None


def _reached(settings: dict[str, Any], seen: dict[str, Any]) -> Problem | None:
    if seen["raised"]:
        _, kind, text = seen["raised"][0]
        return ("one_failure_stops_all" if settings["fails"][0] else "raises"), f"receive raised {kind}: {text}"
    (messages,) = settings["messages"]
    for user, count in zip(names(*settings["members"]), seen["got"], strict=True):
        right = 0 if user in settings["fails"][0] else messages
        if count == right:
            continue
        what = f"{user} got {counted(count, 'message')}, right is {right}"
        if count > right:
            return "delivers_twice", what
        return ("one_failure_stops_all" if settings["fails"][0] else "skips_members"), what
    return None


def gated_cases(source: random.Random) -> list[Case]:
    """Every small conversation around the size of a page, each with one member who fails, then bigger ones."""
    cases = [
        _case(source, size, at_once, members, fails, 1)
        for size, at_once in ((2, 1), (2, 2), (4, 2), (3, 3))
        for members in (1, size, size + 1, 2 * size, 2 * size + 1)
        for fails in (0, 1)
    ]
    cases += [_case(source, 4, 2, members, fails, 2) for members, fails in itertools.product((2, 5), (0, 1))]
    for _ in range(12):
        size = source.randint(2, 9)
        members, messages = source.randint(1, 30), source.randint(1, 3)
        at_once = source.randint(1, size)
        cases.append(_case(source, size, at_once, members, source.randint(0, min(3, members)), messages))
    return cases


def _case(source: random.Random, size: int, at_once: int, members: int, fails: int, messages: int) -> Case:
    letter = source.choice("abcdefgh")
    failing = sorted(source.sample(names(letter, members), fails))
    return [
        ["page_size", size], ["at_once", at_once], ["members", letter, members], ["fails", failing],
        ["messages", messages],
    ]  # fmt: skip
