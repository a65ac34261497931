"""Exercise 12, judging: who is told what, what is left behind, and what is tried again. Runs nothing."""

from collections.abc import Callable
from typing import Any

from course.checks.case import Case, Check, Failure, Observation, shown
from course.checks.ex12_message_desk import drive
from course.checks.faulty_parts import LONGEST_TEXT, SAYS
from course.judges.desk_cases import answered, broken, retried
from course.judges.desk_model import Right, right_end
from course.judges.picture import Line, compared

Problem = tuple[str, str]
Seen = dict[str, Any]
Look = Callable[[list[Any], Seen, Right], Problem | None]


def _each(look: Look) -> Callable[[Case, Observation], Failure | None]:
    """Looks at each request of a case by itself."""

    def judge(case: Case, observation: Observation) -> Failure | None:
        for number, step, seen, right in _requests(case, observation):
            problem = _raised(seen) or look(step, seen, right)
            if problem is not None:
                return Failure(*problem, _steps(case[: number + 1]))
        return None

    return judge


def _requests(case: Case, observation: Observation) -> list[tuple[int, list[Any], Seen, Right]]:
    pairs = list(zip(case, observation, strict=True))[1:]
    return [(number, step, seen, right_end(step, case[0][1:])) for number, (step, seen) in enumerate(pairs, start=1)]


def _steps(case: Case) -> str:
    """As people write it; an empty text would not be seen."""
    return shown([case[0], *([*step[:3], step[3] or "(no text)", *step[4:]] for step in case[1:])])


def _raised(seen: Seen) -> Problem | None:
    if seen["outcome"][0] == "raised":
        _, kind, text = seen["outcome"]
        return "raises", f"post raised {kind}: {text}"
    return None


# -- 12.1: who is told what -----------------------------------------------------------------------------------------


def _answers(case: Case, observation: Observation) -> Failure | None:
    """Each answer and each alert; and that all who may not know get the same words."""
    forbidden: set[str] = set()
    for number, step, seen, right in _requests(case, observation):
        problem = _raised(seen) or _answer_problem(step, seen, right) or _alert_problem(step, seen, right)
        if problem is None and right.answer == "forbidden":
            forbidden.update(answer["data"]["message"] for answer in seen["replies"])
            if len(forbidden) > 1:
                both = " and ".join(repr(words) for words in sorted(forbidden))
                problem = "leaks_existence", f"the two answers differ: {both}"
        if problem is not None:
            return Failure(*problem, _steps(case[: number + 1]))
    return None


def _answer_problem(step: list[Any], seen: Seen, right: Right) -> Problem | None:
    tries = seen["calls"].count("reply")
    if tries > 1:
        return "answers_twice", f"reply was called {tries} times, right is once"
    if tries == 0:
        return "no_answer", f"reply was not called, right is an answer {right.answer!r}"
    if right.client_is_gone:
        return None
    (answer,) = seen["replies"]
    code = _code(answer)
    if code != right.answer:
        return _code_problem(code, seen, right)
    if answer["data"]["client_message_id"] != step[4]:
        return "wrong_form", f"client_message_id is {answer['data']['client_message_id']!r}, not {step[4]!r}"
    if code == "ack":
        return _ack_problem(step, answer, seen)
    words = answer["data"]["message"]
    if not isinstance(words, str) or not words:
        return "wrong_form", "an error has a message in words"
    leaked = [says for says in SAYS.values() if says in words]
    if leaked:
        return "tells_internals", f"the user reads {leaked[0]!r}"
    reason = "some text" if not step[3] else f"{LONGEST_TEXT} characters"
    if code == "invalid" and reason not in words:
        return "one_code_for_all", f"the user reads {words!r}, and not what Rejected says"
    return None


def _code_problem(code: str, seen: Seen, right: Right) -> Problem:
    says = f"the answer is {code!r}, right is {right.answer!r}"
    if code == "ack":
        kind = "never_gives_up" if right.answer == "unavailable" else "retries_in_vain"
        return kind, f"{says}: it was tried too often"
    if right.answer == "ack" and any(call.startswith("publish") for call in seen["calls"]):
        return "denies_what_is_stored", f"{says}: the message is stored"
    if right.answer == "forbidden" and code in ("not_found", "no_such_conversation", "unknown"):
        return "leaks_existence", says
    return "one_code_for_all", says


def _ack_problem(step: list[Any], answer: dict[str, Any], seen: Seen) -> Problem | None:
    _, user, conversation, _, name, *_ = step
    seqs = [seq for *whose, seq, _ in seen["stored"] if whose == [conversation, user, name]]
    if [answer["data"]["seq"]] != seqs:
        return "wrong_form", f"the ack says seq {answer['data']['seq']}, in the store is {seqs or 'nothing'}"
    return None


def _alert_problem(step: list[Any], seen: Seen, right: Right) -> Problem | None:
    alerts = seen["alerts"]
    if right.alert is None:
        return ("wakes_operator", f"alert({alerts[0]!r}), and there is nothing to repair") if alerts else None
    if len(alerts) > 1:
        return "wakes_operator", f"{len(alerts)} alerts for one failure"
    if not alerts or right.alert not in alerts[0]:
        what = f"alert({alerts[0]!r}) does not say" if alerts else "no alert says"
        return "operator_not_told", f"{what} {right.alert!r}"
    if step[3] and step[3] in alerts[0]:
        return "text_in_the_log", f"the operator reads {step[3]!r}"
    return None


def _code(answer: Any) -> str:
    return "ack" if answer["action"] == "ack" else str(answer["data"]["code"])


# -- 12.2: what is left behind ------------------------------------------------------------------------------------


def _left_behind(step: list[Any], seen: Seen, right: Right) -> Problem | None:
    if seen["open"]:
        return "left_open", "a transaction is still open"
    stored = [[conversation, seq] for conversation, _, _, seq, _ in seen["stored"]]
    if sorted(stored) != sorted(seen["outbox"]):
        return "half_done", f"stored are {stored}, in the outbox {seen['outbox']}"
    calls = seen["calls"]
    published = [number for number, call in enumerate(calls) if call.startswith("publish")]
    if published and "stored" not in calls[: published[0]]:
        return "announces_too_early", "publish was called before anything was stored"
    if _was_cancelled(step, calls) and seen["outcome"] != ["cancelled"]:
        return "swallows_cancellation", "the request was cancelled, and post went on"
    if right.answer in ("ack", "invalid", "forbidden") and right.tries == 1:
        is_there = [step[2], step[1], step[4]] in [one[:3] for one in seen["stored"]]
        if is_there != (right.answer == "ack"):
            return "half_done", f"the message is {'' if is_there else 'not '}stored, right is the other way round"
    return None


def _was_cancelled(step: list[Any], calls: list[str]) -> bool:
    """Whether the request came to the call that is cancelled: who tries less often may not have."""
    before: dict[str, int] = {}
    for fault in step[5:]:
        call, kind = fault.split(": ")
        if kind == "cancelled" and sum(one.startswith(call) for one in calls) > before.get(call, 0):
            return True
        before[call] = before.get(call, 0) + 1
    return False


# -- 12.3: what is tried again ------------------------------------------------------------------------------------


def _tried_again(_step: list[Any], seen: Seen, right: Right) -> Problem | None:
    calls = seen["calls"]
    tries = calls.count("begin")
    says = f"{tries} {'try' if tries == 1 else 'tries'}, right is {right.tries}"
    open_sleep = [call for call in calls if call.endswith(" open")]
    if open_sleep:
        return "waits_with_it_open", f"{open_sleep[0].removesuffix(' open')} while a transaction is open"
    if tries > right.tries:
        return ("never_gives_up" if right.answer == "unavailable" else "retries_in_vain"), says
    if tries < right.tries:
        return "gives_up_at_once", says
    sleeps = [float(call.split()[1]) for call in calls if call.startswith("sleep")]
    if sleeps != right.sleeps:
        return "does_not_wait", f"the pauses were {sleeps or 'none'}, right is {right.sleeps or 'none'}"
    for call in ("publish", "reply"):
        if (times := sum(one.startswith(call) for one in calls)) > 1:
            return "retries_in_vain", f"{call} was called {times} times, right is once"
    is_to_be_acked = right.answer == "ack" and right.tries > 1 and right.alert is None and not right.client_is_gone
    if is_to_be_acked and [_code(answer) for answer in seen["replies"]] != ["ack"]:
        return "gives_up_at_once", "it was stored in the end, and there is no ack"
    return None


def picture(case: Case, observation: Observation, failure: Failure) -> str:
    """The request that went wrong: what failed, and what differs, the last of it at the end. Empty for mere words."""
    _, step, seen, right = _requests(case, observation)[failure.steps.count(" → ") - 1]
    is_silent = right.client_is_gone or right.answer == "cancelled"
    replies = ", ".join(_code(answer) for answer in seen["replies"]) or "none"
    looks = [
        Line("tries", str(right.tries), str(seen["calls"].count("begin"))),
        Line("alerts", str(int(right.alert is not None)), str(len(seen["alerts"]))),
        Line("transactions left open", "0", str(int(seen["open"]))),
        Line("answer", "none" if is_silent else right.answer, replies),
    ]
    looks.sort(key=lambda line: line.right != line.theirs)
    if looks[-1].right == looks[-1].theirs:
        return ""
    _, user, conversation, _, _, *faults = step
    return compared(
        [Line(f"{user} posts in {conversation}", "", ""), *(Line(fault, "", "") for fault in faults), *looks],
        "right",
        "yours",
    )


CHECKS = {
    "12.1": Check(answered, drive, _answers, picture),
    "12.2": Check(broken, drive, _each(_left_behind), picture),
    "12.3": Check(retried, drive, _each(_tried_again), picture),
}
