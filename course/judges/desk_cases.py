"""The cases of exercise 12: every call and every way to fail, then random ones."""

import itertools
import random

from course.checks.case import Case, MakeCases
from course.checks.faulty_parts import LONGEST_TEXT
from course.judges.desk_model import STORE_CALLS

Faults = list[str]

_TEXTS = ["see you at six?", "I will be late", "bring the keys", "and the cake"]
_PLACES = [("ann", "c-1"), ("bob", "c-1"), ("bob", "c-2")]
_CLOSED_PLACES = [("ann", "c-2"), ("ann", "c-9"), ("eve", "c-1")]
_PAUSES: list[list[float]] = [[0.1, 0.2], [0.5], [1, 2, 4], [0.2, 0.2]]


def _case(source: random.Random, *requests: Faults, places: list[tuple[str, str]] = _PLACES) -> Case:
    """One request for each list of faults."""
    pauses = source.choice(_PAUSES)
    case: Case = [["pauses", *pauses]]
    for number, faults in enumerate(requests, start=1):
        name = f"m-{number}-{source.randint(10, 99)}"
        planned = _for_all_tries(faults, tries=len(pauses) + 1)
        case.append(["post", *source.choice(places), source.choice(_TEXTS), name, *planned])
    return case


def _for_all_tries(faults: Faults, *, tries: int) -> Faults:
    """``commit: busy always`` is one fault for each try."""
    planned: Faults = []
    for fault in faults:
        planned += [fault.removesuffix(" always")] * (tries if fault.endswith(" always") else 1)
    return planned


def _again(case: Case) -> Case:
    """The client tries its last request once more, under its old name, and nothing fails."""
    return [*case, case[-1][:5]]


def _with_text(case: Case, text: str) -> Case:
    return [case[0], *([*step[:3], text, *step[4:]] for step in case[1:])]


def _refused(source: random.Random) -> list[Case]:
    """Good requests, and those that users must not or can not make; nothing fails."""
    cases = [_case(source, []), _case(source, [], [])]
    for one, other in itertools.permutations(_CLOSED_PLACES, 2):
        first, second = _case(source, [], places=[one]), _case(source, [], places=[other])
        cases.append([*first, *second[1:]])
    for text in ("", "x" * (LONGEST_TEXT + source.randint(1, 9))):
        cases += [_with_text(_case(source, [], places=places), text) for places in (_PLACES, _CLOSED_PLACES)]
    return cases


def _cases(faults: list[Faults], randomly: int) -> MakeCases:
    def cases(source: random.Random) -> list[Case]:
        small = [*_refused(source), *(_case(source, one) for one in faults)]
        small += [_again(_case(source, one)) for one in faults] + [_case(source, one, []) for one in faults]
        return sorted(small, key=len) + [_random_case(source, faults) for _ in range(randomly)]

    return cases


def _random_case(source: random.Random, faults: list[Faults]) -> Case:
    some = [
        source.choice([[], source.choice(faults), source.choice(faults) + source.choice(faults)])
        for _ in range(source.randint(2, 5))
    ]
    case = _case(source, *some, places=_PLACES * 3 + _CLOSED_PLACES)
    return _again(case) if source.random() < 0.3 else case


def _faults(kinds: list[str]) -> list[Faults]:
    """Each call of the store, failing in each way."""
    return [[f"{call}: {kind}"] for call in STORE_CALLS for kind in kinds]


_AFTERWARDS = [["publish: down"], ["publish: bug"], ["reply: gone"], ["publish: down", "reply: gone"]]

answered = _cases([*_faults(["busy always", "lost always", "bug"]), ["commit: lost_after always"], *_AFTERWARDS], 60)
broken = _cases(
    [
        *_faults(["busy always", "bug", "cancelled", "lost"]),
        ["commit: lost_after"],
        ["add_outbox: busy", "sleep: cancelled"],
        ["publish: cancelled"],
        ["reply: cancelled"],
        *_AFTERWARDS,
    ],
    60,
)
retried = _cases(
    [
        *_faults(["busy", "lost", "busy always", "lost always", "bug"]),
        ["commit: lost_after"],
        ["commit: lost_after", "begin: bug"],
        ["is_member: lost", "commit: busy"],
        *_AFTERWARDS,
    ],
    60,
)
