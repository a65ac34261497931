"""Exercise 14, driving: gives samples to a learner's monitor and decides nothing.

A case is ``["monitor", window_s, at_least, fire_above, clear_at, in_a_row]`` and then samples,
``["sample", now, asked, errors]``. In a recorded trace ``["trace", name]`` comes between, and all samples are one step:
``["samples", [[now, asked, errors], …]]``.

An observation has ``[outcome, error_rate, is_firing]`` a sample.
"""

import inspect
from typing import Any

from course.checks.case import Case, Observation
from course.checks.monitor_in_server import drive_in_server


async def drive(subject: Any, case: Case) -> Observation:
    """One monitor, all samples in order. It ends where ``sample`` raises."""
    _, window_s, at_least, fire_above, clear_at, in_a_row = case[0]
    monitor = subject(window_s=window_s, at_least=at_least, fire_above=fire_above, clear_at=clear_at, in_a_row=in_a_row)
    seen: Observation = []
    for now, asked, errors in _samples(case):
        try:
            said = monitor.sample(now, asked, errors)
            if inspect.iscoroutine(said):
                said.close()
                said = "a coroutine"
        except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
            seen.append([["raised", type(error).__name__, str(error)], None, None])
            break
        seen.append([["returned", said], monitor.error_rate, monitor.is_firing])
    return seen


def _samples(case: Case) -> list[list[float]]:
    if case[-1][0] == "samples":
        return list(case[-1][1])
    return [step[1:] for step in case[1:]]


DRIVERS = {"14.1": drive, "14.2": drive, "14.3": drive, "14.4": drive_in_server}
