"""Exercise 4, judging: a limit without edges, memory with an end, and a cache that knows when to ask. Runs nothing."""

from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation, shown
from course.checks.ex04_limited_router import SETTINGS, drive
from course.checks.limiter_in_server import drive_in_server
from course.judges.limit_cases import caching, crowds, in_server, limiting
from course.judges.limit_model import CacheModel, LimitModel, size_of, told
from course.judges.picture import Line, compared

Problem = tuple[str, str]
EXACT_S = 0.001
"""As exact as the server passes a wait on."""


class Judge:
    """Goes through a case beside the model."""

    def __init__(self, case: Case) -> None:
        self.limiter = LimitModel(*told(case, "limit", SETTINGS["limit"]))
        self.max_bytes = told(case, "max_bytes", SETTINGS["max_bytes"])
        self.cache = CacheModel(told(case, "fresh", SETTINGS["fresh"]))
        self.stored: list[str] = []
        self.wrong_wait: Problem | None = None
        """Found in the server; said at the end, since other mistakes say more."""
        self.lines: list[Line] = []

    def step(self, step: list[Any], seen: Any) -> Problem | None:
        """What is wrong with this step."""
        match step:
            case ["lease", user, until]:
                self.cache.leases[user] = until
            case ["redis_away" | "redis_back" as what]:
                self.cache.is_away = what == "redis_away"
            case ["admit" | "how_long", user, now]:
                return self._admit(step, self.limiter.admit(user, now), seen)
            case ["is_online", user, now]:
                return self._is_online(step, user, now, seen)
            case ["route", sender, recipient, text, now]:
                return self._route(step, sender, recipient, text, now, seen)
            case ["crowd" | "visitors" | "flood", *_]:
                return self._kept(step, seen)
            case ["says" | "posts", user, *_, text, now]:
                return self._in_server(step, text, self.limiter.admit(user, now), seen)
            case ["bob_has"]:
                return self._bob_has(seen)
        return None

    def _admit(self, step: list[Any], right: float | None, seen: list[Any]) -> Problem | None:
        came = seen[1] if seen[0] == "returned" else f"raised {seen[1]}"
        self.lines.append(Line(shown([step]), _wait(right), _wait(came)))
        if seen[0] == "raised":
            return "raises", f"admit raised {': '.join(seen[1:])}"
        if isinstance(came, str):
            return "wrong_form", f"admit returned {came}, right is {right}"
        if right is None and not came and came is not None and len(self.limiter.tries) == 1:
            return "wrong_form", f"admit returned {came}, right is None: the message is counted"
        problem = self._decision_problem(is_in=right is None, let_in=came is None)
        return problem or (_wait_problem(right, came) if step[0] == "how_long" else None)

    def _decision_problem(self, *, is_in: bool, let_in: bool) -> Problem | None:
        user, now = self.limiter.tries[-1]
        count, window_s = self.limiter.max_messages, self.limiter.window_s
        if let_in and not is_in:
            what = f"let in, though {user} has {count} of {count} messages in the last {window_s:g} s already"
            return "doubles_at_the_edge", what
        if is_in and not let_in:
            others = self.limiter.counted(user, now) - 1
            what = f"refused, though {user} has only {others} of {count} messages in the last {window_s:g} s"
            return self.limiter.why_refused() or "refuses_too_long", what
        return None

    def _is_online(self, step: list[Any], user: str, now: float, seen: dict[str, Any]) -> Problem | None:
        was_fresh = self.cache.is_fresh(user, now)
        right, asks = self.cache.is_online(user, now)
        self.lines.append(Line(shown([step]), _asked(right, asks), _asked(seen["outcome"][1], bool(seen["asked"]))))
        return _cache_problem(right, seen, user, asks=asks, was_fresh=was_fresh)

    def _route(self, step: list[Any], sender: str, to: str, text: str, now: float, seen: Any) -> Problem | None:
        right, asks = "too_large", False
        was_fresh = self.cache.is_fresh(to, now)
        if size_of(text) <= self.max_bytes:
            right = "sent" if self.limiter.admit(sender, now) is None else "rate_limited"
        if right == "sent":
            is_online, asks = self.cache.is_online(to, now)
            right = "sent" if is_online else "offline"
        came = _outcome(seen)
        self.lines.append(Line(shown([step]), right, came))
        if seen["outcome"][0] == "raised":
            return "raises", f"route raised {': '.join(seen['outcome'][1:])}"
        if came != right:
            return self._why_route(right, came, text), f"route returned {came!r}, right is {right!r}"
        if seen["published"] != ([[to, text]] if right == "sent" else []):
            return "wrong_route", f"published was {seen['published']}, and route returned {right!r}"
        if seen["asked"] and right in ("too_large", "rate_limited"):
            return "asks_too_early", f"Redis was asked about {to}, and the message is {right}"
        return _cache_problem(right == "sent", seen | {"outcome": ["returned", right == "sent"]}, to, asks=asks,
                              was_fresh=was_fresh) if right in ("sent", "offline") else None  # fmt: skip

    def _why_route(self, right: str, came: str, text: str) -> str:
        if "too_large" in (right, came):
            return "counts_characters" if size_of(text) != len(text) else "wrong_route"
        if came == "rate_limited":
            return "counts_what_is_too_large"
        if (right, came) == ("rate_limited", "offline"):
            return "asks_too_early"
        return "serves_what_is_over" if (right, came) == ("offline", "sent") else "wrong_route"

    def _kept(self, step: list[Any], seen: list[Any]) -> Problem | None:
        _, early, late = seen
        most = 4 * early + 200
        self.lines.append(Line(shown([step]), f"at most {most}", str(late)))
        if late <= most:
            return None
        when = "after 10 tries" if step[0] == "flood" else f"after 2 of {step[2]} windows"
        return "grows_for_ever", f"{late} objects are kept at the end; {when} it was {early}"

    def _in_server(self, step: list[Any], text: str, wait: float | None, seen: list[Any]) -> Problem | None:
        came = seen[0]
        self.lines.append(Line(shown([step]), "stored" if wait is None else "rate_limited", str(came)))
        if came == "stored":
            self.stored.append(text)
        elif came != "rate_limited":
            return "fails_in_the_server", f"the server answered {came}"
        if wait is not None and came == "rate_limited" and seen[1] is not None:
            self.wrong_wait = self.wrong_wait or _wait_problem(wait, seen[1])
        return self._decision_problem(is_in=wait is None, let_in=came == "stored")

    def _bob_has(self, seen: list[str]) -> Problem | None:
        self.lines.append(Line("bob_has()", f"{len(self.stored)} texts", f"{len(seen)} texts"))
        if seen != self.stored:
            return "fails_in_the_server", f"Bob has {', '.join(seen)}; stored were {', '.join(self.stored)}"
        return self.wrong_wait


def _cache_problem(
    right: bool | None, seen: dict[str, Any], user: str, *, asks: bool, was_fresh: bool
) -> Problem | None:
    outcome, asked = seen["outcome"], seen["asked"]
    if right is None:
        if outcome[:2] == ["raised", "ConnectionError"]:
            return None
        return "hides_the_outage", f"Redis is away, and {_said(outcome)}; what it had said of {user} is over"
    if outcome[0] == "raised" and outcome[1] != "ConnectionError":
        return "raises", _said(outcome)
    if asks and not asked:
        over = "the lease it told of is over" if was_fresh else "what it has said is too old"
        return "serves_what_is_over", f"Redis was not asked about {user}, and {over}"
    if asked and not asks:
        return "asks_every_time", f"Redis was asked about {user} again; what it had said is good still"
    if outcome[1] is not right:
        name = "serves_what_is_over" if right is False else "wrong_route"
        return name, f"{_said(outcome)}, right is {right}"
    return ("asks_every_time", f"Redis was asked {len(asked)} times for one answer") if len(asked) > 1 else None


def _said(outcome: list[Any]) -> str:
    return f"is_online {outcome[0]} {': '.join(map(str, outcome[1:]))}"


def _asked(answer: Any, asked: bool) -> str:
    return f"{'raises' if answer is None else answer}{', asks' if asked else ''}"


def _outcome(seen: dict[str, Any]) -> str:
    return str(seen["outcome"][1])


def _wait(answer: Any) -> str:
    if answer is None:
        return "in"
    return answer if isinstance(answer, str) else f"wait {answer:g}"


def _wait_problem(right: float | None, came: float | None) -> Problem | None:
    if right is None or came is None or abs(came - right) < EXACT_S:
        return None
    return "wrong_wait", f"said to wait {came:g} s, right is {right:g} s"


def judge(case: Case, observation: Observation) -> Failure | None:
    """The first step that is wrong."""
    return _gone_through(case, observation)[0]


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """Each step, with its right answer and theirs, if it has one."""
    lines = _gone_through(case, observation)[1]
    return compared(lines, "right", "yours") if lines else ""


def _gone_through(case: Case, observation: Observation) -> tuple[Failure | None, list[Line]]:
    beside = Judge(case)
    if observation[:1] == ["no start"]:
        return Failure("fails_in_the_server", f"the server did not start: {observation[1]}", shown(case[:1])), []
    for number, (step, seen) in enumerate(zip(case, observation, strict=True), start=1):
        problem = beside.step(step, seen)
        if len(beside.lines) < number:
            beside.lines.append(Line(shown([step]), "", ""))
        if problem is not None:
            return Failure(*problem, shown(case[:number])), beside.lines
    return None, beside.lines


def _checked(cases: MakeCases) -> Check:
    return Check(cases, drive, judge, picture)


CHECKS = {
    "4.1": _checked(limiting),
    "4.2": _checked(crowds),
    "4.3": _checked(caching),
    "4.4": Check(in_server, drive_in_server, judge, picture),
}
