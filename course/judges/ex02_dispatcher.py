"""Exercise 2, judging: what a right dispatcher answers to a frame. Runs nothing."""

import json
import random
from typing import Any

from course.checks.case import Case, Check, Failure, MakeCases, Observation
from course.checks.ex02_dispatcher import CONVERSATION, MAX_BYTES, TIMES, USER, drive
from course.judges.picture import Line, compared


def judge(case: Case, observation: Observation) -> Failure | None:
    """Compares frame by frame with what the task says."""
    for raw, (outcome, saw) in zip(case, observation, strict=True):
        problem = _problem(raw, outcome, saw)
        if problem is not None:
            return Failure(*problem, f"dispatch({raw if len(raw) < 70 else raw[:69] + '…'})")
    return None


def _problem(raw: str, outcome: list[Any], saw: list[Any]) -> tuple[str, str] | None:
    code = _right_code(raw)
    if outcome[0] == "raised":
        kind = "failing_handler_escapes" if code == "server_error" else "raises_on_bad_input"
        return kind, f"dispatch raised {outcome[1]}"
    answer = outcome[1]
    if answer is None:
        return "ignores_silently", "there was no answer"
    if not isinstance(answer, dict) or answer.keys() != {"action", "data", "conversation_id", "timestamp"}:
        return "wrong_envelope", "the answer is not {action, data, conversation_id, timestamp}"
    if answer["conversation_id"] != CONVERSATION or answer["timestamp"] not in TIMES:
        return "wrong_envelope", "conversation_id or timestamp is not the server's"
    return _error_problem(answer, code) if code else _good_problem(raw, answer, saw)


def _right_code(raw: str) -> str | None:
    """The error a frame deserves; None for a good one."""
    if len(raw.encode()) > MAX_BYTES:
        return "too_large"
    try:
        frame = json.loads(raw)
    except ValueError:
        return "bad_json"
    if not isinstance(frame, dict):
        return "bad_json"
    kind = frame.get("type")
    if not isinstance(kind, str):
        return "invalid"
    if kind not in ("text", "typing", "boom"):
        return "unknown_type"
    if kind == "text" and "content" not in frame:
        return "invalid"
    return "server_error" if kind == "boom" else None


def _error_problem(answer: dict[str, Any], code: str) -> tuple[str, str] | None:
    got = answer["data"].get("code") if isinstance(answer["data"], dict) else None
    if answer["action"] == "error" and got == code and isinstance(answer["data"].get("message"), str):
        return None
    said = f"error {got!r}" if answer["action"] == "error" else f"the action {answer['action']!r}"
    return "counts_characters" if code == "too_large" else "wrong_code", f"{said} came, right is an error {code!r}"


def _good_problem(raw: str, answer: dict[str, Any], saw: list[Any]) -> tuple[str, str] | None:
    frame = json.loads(raw)
    if answer["action"] != "ack":
        return "wrong_envelope", f"a good frame is answered with the action {answer['action']!r}, not 'ack'"
    if len(saw) != 1 or saw[0][0] != frame["type"]:
        return "wrong_envelope", f"the handlers called were {[name for name, _ in saw]}, right is ['{frame['type']}']"
    message = saw[0][1]
    if message.get("sender_id") != USER or message.get("timestamp") != answer["timestamp"]:
        shown = {name: message.get(name) for name in ("sender_id", "timestamp")}
        return "trusts_the_client", f"the handler saw {shown}, and the server knows better"
    right = {"id": "m-1", "content": frame["content"]} if frame["type"] == "text" else {"ok": True}
    if answer["data"] != right:
        return "wrong_envelope", "data is not what the handler returned"
    return None


def picture(case: Case, observation: Observation, _failure: Failure) -> str:
    """The frames up to the wrong answer: the action or error that is right, and the one that came."""
    lines = []
    for raw, (outcome, saw) in zip(case, observation, strict=True):
        code = _right_code(raw)
        lines.append(Line(raw or "(empty)", f"error {code}" if code else "ack", _came(outcome)))
        if _problem(raw, outcome, saw) is not None:
            break
    return compared(lines, "right", "yours")


def _came(outcome: list[Any]) -> str:
    if outcome[0] == "raised":
        return f"raised {outcome[1]}"
    answer = outcome[1]
    if not isinstance(answer, dict):
        return repr(answer)
    data = answer.get("data")
    code = data.get("code") if isinstance(data, dict) and answer.get("action") == "error" else None
    return f"error {code}" if code else str(answer.get("action"))


# -- cases --------------------------------------------------------------------------------------------------------

_GOOD = ['{"type":"typing"}', '{"type":"text","content":"hi"}', '{"type":"text","content":""}']
_BAD = [
    "", "{", "[]", "3", "null", '"text"', '{"type":"text",}', "{}", '{"type":null}', '{"type":7}', '{"type":["text"]}',
    '{"type":"dance"}', '{"type":""}', '{"type":"text"}', '{"content":"hi"}',
]  # fmt: skip
_LYING = [
    '{"type":"typing","sender_id":"bob"}',
    '{"type":"typing","timestamp":"1999"}',
    '{"type":"text","content":"x","sender_id":"bob","timestamp":"1999"}',
    '{"type":"boom"}',
]


def _text_of(characters: str, source: random.Random) -> str:
    content = characters * source.randint(1, 60)
    return json.dumps({"type": "text", "content": content}, ensure_ascii=False)


def _cases(singles: list[str], mixed: list[str], randomly: int) -> MakeCases:
    def cases(source: random.Random) -> list[Case]:
        pairs = [[first, second] for first in mixed for second in mixed]
        longer = [[source.choice(singles + mixed) for _ in range(source.randint(3, 8))] for _ in range(randomly)]
        return [[one] for one in singles] + pairs + longer

    return cases


def _bad_cases(source: random.Random) -> list[Case]:
    edge = ["a" * n for n in (MAX_BYTES - 30, MAX_BYTES - 29, MAX_BYTES)] + ["ü" * 30, "ü" * 40, "漢" * 30]
    sized = [json.dumps({"type": "text", "content": text}, ensure_ascii=False) for text in edge]
    sized += [_text_of(source.choice("aü漢"), source) for _ in range(20)]
    return [[one] for one in [*_BAD, *sorted(sized, key=len)]] + _cases(_BAD, _GOOD[:2] + _BAD[:3], 30)(source)


CHECKS = {
    "2.1": Check(_cases(_GOOD, _GOOD, 20), drive, judge, picture),
    "2.2": Check(_bad_cases, drive, judge, picture),
    "2.3": Check(_cases(_LYING, [*_LYING, *_GOOD], 30), drive, judge, picture),
}
