"""Exercise 14, judging: rates of now, and an alert that fires, stays and is over. Runs nothing."""

import itertools
import math
import random
from typing import Any

from course.checks.case import Case, Check, Failure, Observation, shown
from course.checks.ex14_monitor import drive
from course.checks.monitor_in_server import drive_in_server
from course.judges import monitor_in_server, monitor_traces
from course.judges.monitor_model import Model, Watch
from course.judges.picture import Line, compared

Problem = tuple[str, str]


def judge_rates(case: Case, observation: Observation) -> Failure | None:
    """Compares ``error_rate`` after each sample with the model. What is said is another check's."""
    model = Model(Watch(*case[0][1:]))
    for number, (step, (outcome, rate, _)) in enumerate(zip(case[1:], observation, strict=False), start=1):
        model.sample(*step[1:])
        if problem := monitor_traces.raised(outcome) or _rate_problem(model, rate):
            return Failure(*problem, shown(case[: number + 1]))
    return None


def judge_alert(case: Case, observation: Observation) -> Failure | None:
    """Compares sample by sample with the model: the rate, what is said, and ``is_firing``."""
    model = Model(Watch(*case[0][1:]))
    for number, (step, (outcome, rate, is_firing)) in enumerate(zip(case[1:], observation, strict=False), start=1):
        before = model.streak
        right = model.sample(*step[1:])
        problem = (
            monitor_traces.raised(outcome)
            or _rate_problem(model, rate)
            or _alert_problem(model, right, outcome[1], before)
            or _state_problem(model, is_firing)
        )
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1]))
    return None


def _rate_problem(model: Model, rate: Any) -> Problem | None:
    right = model.rate
    if _is_same(rate, right):
        return None
    what = f"error_rate is {_number(rate)}, right is {_number(right)}"
    if not _is_number(rate) and rate is not None:
        return "wrong_form", what
    _, asked, errors = model.samples[-1]
    if _is_same(rate, errors / max(asked, 1)) or _is_same(rate, model.share_since(model.samples[0])):
        return "lifetime_average", f"{what}: it is an average since the start"
    if right is None and model.asked_in_window == 0:
        return "idle_is_not_zero", f"{what}: nothing was asked for in the window"
    if right is None or model.asked_in_window == model.watch.at_least:
        return "too_few_to_say", f"{what}: at_least is {model.watch.at_least}"
    if rate is None:
        return ("wrong_window" if model.is_window_filled else "last_sample_only"), what
    if len(model.samples) > 1 and _is_same(rate, model.share_since(model.samples[-2])):
        return "last_sample_only", f"{what}: it looks back by one sample, not by the window"
    return "wrong_window", what


def _alert_problem(model: Model, right: str | None, said: Any, before: int) -> Problem | None:
    """``before``: how many samples in a row have spoken for a change until now."""
    if said == right:
        return None
    what = f"sample returned {said!r}, right is {right!r}"
    if said not in ("fires", "over", None):
        return "wrong_form", what
    if right == "fires":
        return "fires_too_late", what
    if right == "over":
        return ("stays_when_idle" if model.rate is None else "never_clears"), what
    if said == "fires":
        return ("repeats" if model.is_firing else _why_too_early(model, before)), what
    if model.is_firing and model.rate is not None and model.rate > model.watch.clear_at:
        return "flaps", f"{what}: it is still above clear_at"
    return ("repeats" if not model.is_firing else "alerts_on_one_sample"), what


def _why_too_early(model: Model, before: int) -> str:
    if model.rate is None or model.rate <= model.watch.fire_above:
        return "wrong_edge"
    return "not_in_a_row" if before == 0 and model.above > 1 else "alerts_on_one_sample"


def _state_problem(model: Model, is_firing: Any) -> Problem | None:
    if is_firing is model.is_firing:
        return None
    return "wrong_state", f"is_firing is {is_firing!r}, right is {model.is_firing}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_same(left: Any, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return _is_number(left) and math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)


def _number(value: Any) -> str:
    return f"{value:.4g}" if _is_number(value) else repr(value)


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """After each sample: the rate, and what is said."""
    model, lines = Model(Watch(*case[0][1:])), []
    for step, (outcome, rate, is_firing) in zip(case[1:], observation, strict=False):
        right = model.sample(*step[1:])
        theirs = outcome[1] if outcome[0] == "raised" else _told(rate, outcome[1], is_firing)
        lines.append(Line(shown([step]), _told(model.rate, right, model.is_firing), theirs))
        if len(lines) == failure.steps.count(" → "):
            break
    return compared(lines, "right", "yours")


def _told(rate: Any, said: Any, is_firing: Any) -> str:
    return f"{_number(rate)} {said or ('…' if is_firing else '')}".strip()


# -- cases --------------------------------------------------------------------------------------------------------


def _rate_cases(source: random.Random) -> list[Case]:
    """Growth of (asked, errors) from sample to sample: all small ones, then longer ones with irregular pauses."""
    growths = [(0, 0), (2, 2), (3, 1), (8, 0)]
    cases: list[Case] = []
    for length in (1, 2, 3, 4):
        for few in itertools.product(growths, repeat=length):
            start = (source.randint(100, 999), source.randint(10, 99))
            cases.append([["monitor", 30, 3, 0.9, 0.5, 3], *_samples(start, [(10, *one) for one in few])])
    for _ in range(60):
        window_s, at_least = source.randint(10, 60), source.randint(1, 30)
        growth = [_some_growth(source) for _ in range(source.randint(4, 14))]
        start = (source.randint(0, 9000), source.randint(0, 50))
        cases.append([["monitor", window_s, at_least, 0.9, 0.5, 3], *_samples(start, growth)])
    return cases


def _some_growth(source: random.Random) -> tuple[int, int, int]:
    asked = source.choice([0, 0, source.randint(1, 10), source.randint(10, 100)])
    return source.randint(1, 30), asked, source.randint(0, asked)


def _samples(start: tuple[int, int], growth: list[tuple[int, int, int]]) -> Case:
    now, (asked, errors) = 0, start
    samples: Case = [["sample", now, asked, errors]]
    for pause_s, more, failed in growth:
        now, asked, errors = now + pause_s, asked + more, errors + failed
        samples.append(["sample", now, asked, errors])
    return samples


_LEVELS = {"high": (8, 6), "fire_above": (8, 4), "between": (8, 3), "clear_at": (8, 2), "low": (8, 0), "idle": (0, 0)}


def _alert_cases(source: random.Random) -> list[Case]:
    """The window is one interval, so each sample has its own level. All short sequences of levels, then longer ones."""
    small: list[tuple[str, ...]] = []
    for length in (1, 2, 3, 4):
        small += itertools.product(_LEVELS, repeat=length)
    small += itertools.product(["high", "between", "low"], repeat=5)
    cases = [_levels_case(source, levels, 2) for levels in small]
    for _ in range(60):
        levels = source.choices([*_LEVELS], [4, 1, 2, 1, 3, 2], k=source.randint(6, 24))
        cases.append(_levels_case(source, tuple(levels), source.randint(1, 4)))
    return cases


def _levels_case(source: random.Random, levels: tuple[str, ...], in_a_row: int) -> Case:
    start = (source.randint(100, 999), source.randint(10, 99))
    growth = [(10, *_LEVELS[level]) for level in levels]
    return [["monitor", 10, 1, 0.5, 0.25, in_a_row], *_samples(start, growth)]


CHECKS = {
    "14.1": Check(_rate_cases, drive, judge_rates, picture),
    "14.2": Check(_alert_cases, drive, judge_alert, picture),
    "14.3": Check(monitor_traces.trace_cases, drive, monitor_traces.judge, monitor_traces.picture),
    "14.4": Check(monitor_in_server.cases, drive_in_server, monitor_in_server.judge, monitor_in_server.picture),
}
