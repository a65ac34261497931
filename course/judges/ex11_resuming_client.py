"""Exercise 11, judging: what a right client half has and asks after each step. Runs nothing."""

import itertools
import random
from collections.abc import Sequence
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex11_resuming_client import drive, drive_real
from course.judges.picture import Line, compared
from course.judges.resuming_in_server import judge_real, real_cases
from course.judges.resuming_model import Model, Problem


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares call by call with the model; right is what either of two right clients does."""
    failure, _ = _compare(case, observation, Model())
    if failure is not None and _compare(case, observation, Model(drops_early_at_a_cut=True))[0] is None:
        return None
    return failure


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """The numbers of the client's messages after each step, and what it asks."""
    return compared(_compare(case, observation, Model())[1], "right", "yours")


def _compare(case: Case, observation: Observation, model: Model) -> tuple[Failure | None, list[Line]]:
    """The first failure, and the steps up to there."""
    lines: list[Line] = []
    for number, (step, calls) in enumerate(zip(case, observation, strict=True)):
        right = theirs = _numbers(model.messages)
        problem: Problem | None = None
        for call, outcome, messages in calls:
            if outcome[0] == "raised":
                problem, theirs = ("raises", f"{call[0]} raised {outcome[1]}"), f"raised {outcome[1]}"
                break
            wanted, frames = model.take(call), outcome[1] if call[0] != "closed" else []
            right = _numbers(model.messages) + "".join(f" resume({seq})" for seq in wanted.resumes)
            theirs = _numbers(messages) + _asked(frames)
            problem = model.problem_with(call, frames, messages, wanted)
            if problem is not None:
                break
        lines.append(Line(shown([step]), right, theirs))
        if problem is not None:
            return Failure(*problem, shown(case[: number + 1])), lines
    return None, lines


def _numbers(messages: list[Any]) -> str:
    return " ".join(str(seq) for seq, _ in messages) or "none"


def _asked(frames: Any) -> str:
    if not isinstance(frames, list):
        return f" returned {frames}"
    return "".join(f" resume({frame['last_seq']})" for frame in frames if frame["type"] == "resume")


# -- cases: all the small ones, then random longer ones -----------------------------------------------------------

_READS = ["bob_writes", "arrives", "arrives_twice", "overtakes", "cut"]
_WRITES = ["ann_sends", "bob_writes", "arrives", "arrives_twice", "cut"]
_LOSES = ["bob_writes", "ann_sends", "cut", "forgets", "restored"]
_NEEDS_CONNECTION = {"arrives", "arrives_twice", "overtakes"}
_TEXTS = ["hi", "ok", "yes", "where?", "soon", "on my way", "thanks"]


def _meanwhile(source: random.Random) -> Case:
    """A new message overtakes the one that a resume brings."""
    missed, new = _step("bob_writes", source), _step("bob_writes", source)
    return [missed, ["connects"], new, ["arrives"], ["overtakes"], ["settles"]]


def _reading(source: random.Random) -> list[Case]:
    small_and_longer = _cases(_READS, 80)(source)
    return sorted([_meanwhile(source), *small_and_longer[:-80]], key=len) + small_and_longer[-80:]


def _cases(alphabet: list[str], randomly: int, *, more: tuple[str, ...] = (), before: int = 0) -> MakeCases:
    """All up to four steps, after ``before`` messages; then random ones, with ``more`` in them."""

    def cases(source: random.Random) -> list[Case]:
        found: dict[str, Case] = {}
        for length in range(1, 5):
            for kinds in itertools.product(alphabet, repeat=length):
                case = _case(kinds, source, before=before)
                found.setdefault(shown([step[:1] for step in case]), case)
        longer = [
            _case(
                source.choices([*alphabet, *more], k=source.randint(6, 20)),
                source,
                before=source.randint(0, 3),
                is_settled=source.random() < 0.5,  # else the answer to the first resume is still under way
            )
            for _ in range(randomly)
        ]
        return sorted(found.values(), key=len) + longer

    return cases


def _case(kinds: Sequence[str], source: random.Random, *, before: int, is_settled: bool = True) -> Case:
    """Connects at first, and again where frames are to arrive; settles at the end."""
    case = [*(_step("bob_writes", source) for _ in range(before)), ["connects"]]
    case += [["settles"]] if is_settled else []
    is_open = True
    for kind in kinds:
        if not is_open and kind in _NEEDS_CONNECTION:
            case.append(["connects"])
            is_open = True
        if kind != "cut" or is_open:
            case.append(_step(kind, source))
        is_open = is_open and kind not in ("cut", "restored")
    return [*case, ["settles"]]


def _step(kind: str, source: random.Random) -> list[Any]:
    if kind in ("bob_writes", "ann_sends"):
        return [kind, source.choice(_TEXTS)]
    if kind in ("forgets", "restored"):
        return [kind, 1 if source.random() < 0.6 else source.randint(2, 4)]
    return [kind]


CHECKS = {
    "11.1": Check(_reading, drive, judge, picture),
    "11.2": Check(_cases(_WRITES, 60), drive, judge, picture),
    "11.3": Check(_cases(_LOSES, 80, more=("arrives", "arrives"), before=2), drive, judge, picture),
    "11.4": Check(real_cases, drive_real, judge_real),
}
