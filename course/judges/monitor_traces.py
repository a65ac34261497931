"""Judges a monitor by when it calls somebody, and when it says that it is over. Runs nothing."""

import random
from typing import Any
from xml.sax.saxutils import escape

from course.checks.case import Case, Failure, Observation, shown
from course.judges.monitor_model import Model, Watch
from course.judges.outages import KINDS, rates

Problem = tuple[str, str]
Change = tuple[int, str]
"""After which sample, and what is said."""

WIDTH, HEIGHT, LEFT = 560, 120, 8
COLOURS = {"right": "var(--good, #1a7f37)", "yours": "var(--bad, #b33)"}


def raised(outcome: list[Any]) -> Problem | None:
    """What a sample raised."""
    if outcome[0] != "raised":
        return None
    name = "divides_by_zero" if outcome[1] == "ZeroDivisionError" else "raises"
    return name, f"sample raised {outcome[1]}: {outcome[2]}"


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares when it fires and when it is over. Some samples earlier or later are right, too."""
    watch, samples = Watch(*case[0][1:]), case[2][1]
    problem = raised(observation[-1][0]) or timing_problem(
        right_changes(watch, samples), changes([one[0] for one in observation]), slack=watch.in_a_row, samples=samples
    )
    return Failure(*problem, _steps(case)) if problem is not None else None


def right_changes(watch: Watch, samples: list[list[float]]) -> list[Change]:
    model = Model(watch)
    return changes([["returned", model.sample(*one)] for one in samples])


def changes(outcomes: list[list[Any]]) -> list[Change]:
    return [(number, one[1]) for number, one in enumerate(outcomes) if one[0] == "returned" and one[1] is not None]


def timing_problem(right: list[Change], theirs: list[Change], *, slack: int, samples: list[Any]) -> Problem | None:
    for number, (at, what) in enumerate(right):
        when = f"right is {what!r} at {samples[at][0]:.4g} s"
        if number >= len(theirs):
            return (
                "never_clears" if what == "over" else "lifetime_average"
            ), f"nothing {'more ' if theirs else ''}was said; {when}"
        their_at, said = theirs[number]
        came = f"{said!r} came at {samples[their_at][0]:.4g} s"
        if said != what:
            return ("repeats" if number and said == theirs[number - 1][1] else "wrong_form"), f"{came}; {when}"
        if their_at < at - slack:
            return ("alerts_on_one_sample" if what == "fires" else "flaps"), f"{came}, too early; {when}"
        if their_at > at + slack:
            return ("never_clears" if what == "over" else "fires_too_late"), f"{came}, too late; {when}"
    if len(theirs) > len(right):
        at, said = theirs[len(right)]
        came = f"{said!r} came at {samples[at][0]:.4g} s, and nothing more was to be said"
        if theirs[len(right) - 1][1] == said and right:
            return "repeats", came
        return ("flaps" if right else "alerts_on_one_sample"), came
    return None


def _steps(case: Case) -> str:
    return f"{shown(case[:1])}: {case[1][1]}, {len(case[2][1])} samples"


def trace_cases(source: random.Random) -> list[Case]:
    """Every kind of trace several times, with other figures each time."""
    cases: list[Case] = []
    for _ in range(5):
        for name, kind in KINDS.items():
            watched = rates(source)
            cases.append(
                [
                    [
                        "monitor",
                        watched.window_s,
                        watched.at_least,
                        watched.fire_above,
                        watched.clear_at,
                        watched.in_a_row,
                    ],
                    ["trace", name],
                    ["samples", kind(source, watched)],
                ]
            )
    return cases


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """The share of errors in the window over time, and below it when the alert fires: right, and yours."""
    watch, samples = Watch(*case[0][1:]), case[2][1]
    model, shares = Model(watch), []
    for one in samples:
        model.sample(*one)
        shares.append(model.rate)
    bars = {
        "right": right_changes(watch, samples),
        "yours": changes([one[0] for one in observation]),
    }
    parts = [*_curve(shares, watch), _text(LEFT, 12, f"share of errors in the window: {case[1][1]}")]
    for row, (name, said) in enumerate(bars.items()):
        y = HEIGHT + 12 + 26 * row
        parts += [_text(LEFT, y + 13, name), *_bars(said, len(samples), y, COLOURS[name])]
    label = escape(case[1][1], {'"': "&quot;"})
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 64}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _x(number: float, samples: int) -> float:
    return round(60 + (WIDTH - 70) * number / max(samples - 1, 1), 1)


def _curve(shares: list[float | None], watch: Watch) -> list[str]:
    """The shares, and the two levels."""
    scale = 90 / max([watch.fire_above, *(share or 0 for share in shares)])
    points = [f"{_x(number, len(shares))},{HEIGHT - scale * (share or 0):.1f}" for number, share in enumerate(shares)]
    parts = [f'<polyline points="{" ".join(points)}" fill="none" stroke="currentColor" stroke-width="1.5"/>']
    for level in (watch.fire_above, watch.clear_at):
        y = f"{HEIGHT - scale * level:.1f}"
        style = 'stroke="currentColor" opacity="0.5" stroke-dasharray="4 4"'
        parts += [
            f'<line x1="60" y1="{y}" x2="{WIDTH - 10}" y2="{y}" {style}/>',
            _text(LEFT, float(y) + 4, f"{level:g}"),
        ]
    return parts


def _bars(said: list[Change], samples: int, y: int, colour: str) -> list[str]:
    """A bar from each "fires" to the next "over", or to the end."""
    bars, since = [], None
    for at, what in [*said, (samples - 1, "over")]:
        if what == "fires" and since is None:
            since = at
        elif what == "over" and since is not None:
            x, width = _x(since, samples), max(_x(at, samples) - _x(since, samples), 2)
            bars.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="16" rx="4" fill="{colour}" opacity="0.7"/>')
            since = None
    return bars


def _text(x: int, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="13">{escape(text)}</text>'
