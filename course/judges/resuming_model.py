"""What a right client half does with what reaches it. Runs nothing of a learner's."""

from typing import Any, NamedTuple

Problem = tuple[str, str]
"""A misconception, and what came instead of what in one line."""


class _Own:
    """A message of the client's own that has no ack yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.name: str | None = None  # known once the client has sent it
        self.came_back = False  # in an answer to ``resume``: sending it again is allowed, and not needed


class Wanted(NamedTuple):
    """What a call has to return: resumes exactly, texts in this order."""

    resumes: list[int]
    texts: list[_Own]


class Model:
    """Keeps what the client should hold, and says what it should ask.

    Both are right: to keep early messages over a cut, and to get them again (``drops_early_at_a_cut``).
    """

    def __init__(self, *, drops_early_at_a_cut: bool = False) -> None:
        self._drops_early_at_a_cut = drops_early_at_a_cut
        self.messages: list[list[Any]] = []
        self.last_seq = 0
        self.early: dict[int, str] = {}
        self.arrived_meanwhile: set[int] = set()  # while an answer was on its way, or ahead of one that is missing
        self.own_seqs: set[int] = set()
        self.unacked: list[_Own] = []
        self.names: set[str] = set()
        self.is_open = False
        self.snapshots = 0
        self._is_asked = False
        self._answer_up_to: int | None = None
        self._starts_anew = False

    def take(self, call: list[Any]) -> Wanted:
        """One call of the client: what happened."""
        match call:
            case ["opened"]:
                self.is_open = True
                self._starts_anew = False
                return Wanted([self._ask()], list(self.unacked))
            case ["closed"]:
                self.is_open = self._is_asked = False
                if self._drops_early_at_a_cut:
                    self.early.clear()
            case ["send", text]:
                self.unacked.append(_Own(text))
                return Wanted([], self.unacked[-1:])
            case ["received", {"action": action, "data": data}]:
                self._receive(action, data)
                if self.early and not self._is_asked:
                    return Wanted([self._ask()], [])
        return Wanted([], [])

    def _ask(self) -> int:
        self._is_asked, self._answer_up_to = True, None
        return self.last_seq

    def _receive(self, action: str, data: dict[str, Any]) -> None:
        if action == "new_message":
            if self._starts_anew:
                self.last_seq, self._starts_anew = data["seq"] - 1, False
            for own in self.unacked:
                own.came_back = own.came_back or own.name == data["client_message_id"]
            self._hold(data["seq"], data["content"]["text"])
        elif action == "ack":
            acked = [own for own in self.unacked if own.name == data["client_message_id"]]
            for own in acked:
                self.unacked.remove(own)
                self.own_seqs.add(data["seq"])
                self._hold(data["seq"], own.text)
        elif action == "resumed":
            self._answer_up_to = data["seq"]
            if not data["recovered"]:
                self._forget()
        if self._answer_up_to is not None and self.last_seq >= self._answer_up_to:
            self._is_asked = False

    def _hold(self, seq: int, text: str) -> None:
        if seq > self.last_seq:
            if self._is_asked or seq > self.last_seq + 1:
                self.arrived_meanwhile.add(seq)
            self.early.setdefault(seq, text)
        while self.last_seq + 1 in self.early:
            self.last_seq += 1
            self.messages.append([self.last_seq, self.early.pop(self.last_seq)])

    def _forget(self) -> None:
        self.messages, self.last_seq, self._starts_anew = [], 0, True
        self.early.clear()
        self.snapshots += 1

    # -- comparing ------------------------------------------------------------------------------------------------

    def problem_with(self, call: list[Any], frames: Any, messages: list[Any], wanted: Wanted) -> Problem | None:
        """What is wrong with a call's answer, or with the messages after it."""
        if not isinstance(frames, list):
            return "wrong_form", f"{call[0]} returned {frames!r}, not a list of frames"
        resumes = [frame["last_seq"] for frame in frames if frame["type"] == "resume"]
        texts = [frame for frame in frames if frame["type"] == "text"]
        if len(resumes) + len(texts) != len(frames):
            return "wrong_form", "only text and resume frames are to be sent"
        return (
            self._messages_problem(call, messages)
            or self._resumes_problem(call, resumes, wanted.resumes)
            or self._texts_problem(call, texts, wanted.texts)
        )

    def _messages_problem(self, call: list[Any], messages: list[Any]) -> Problem | None:
        right = self.messages
        if messages == right:
            return None
        numbers = [seq for seq, _ in messages]
        says = f"messages are {_listed(messages)}, right is {_listed(right)}"
        missing = [seq for seq, _ in right if seq not in numbers]
        if call[0] == "send":
            return "own_too_early", f"{says}: a message has no number before its ack"
        if self.snapshots and (not right or messages[: len(right)] != right):
            return "ignores_not_recovered", f"{says}: the server said recovered: false"
        if len(set(numbers)) < len(numbers):
            return "shows_twice", says
        if missing and missing[0] in self.own_seqs:
            return "loses_own", f"{says}: {missing[0]} is your own, and its ack came"
        if missing and missing[0] in self.arrived_meanwhile:
            return "loses_what_came_early", f"{says}: {missing[0]} came early, and was dropped"
        return "trusts_arrival_order", says

    def _resumes_problem(self, call: list[Any], came: list[int], right: list[int]) -> Problem | None:
        if came == right:
            return None
        if len(came) > len(right):
            why = "an answer is on its way" if self._is_asked else "nothing is missing"
            return "resumes_for_ever", f"{call[0]} returned {_count(came)}, right is {_count(right)}: {why}"
        if not came:
            return "does_not_ask", f"{call[0]} returned no resume, right is one with last_seq {right[0]}"
        return "counts", f"the resume says last_seq {came[0]}, right is {right[0]}"

    def _texts_problem(self, call: list[Any], came: list[Any], right: list[_Own]) -> Problem | None:
        if not came and call[0] == "send" and not self.is_open:
            return None  # nothing could be sent anyway
        at = 0
        for own in right:
            frame = came[at] if at < len(came) else None
            if frame is None or frame["content"] != own.text or (own.came_back and frame[_NAME] != own.name):
                if own.came_back:
                    continue
                return "forgets_unacked", f"{call[0]} did not return {own.text!r} again, which has no ack"
            at += 1
            problem = self._name_problem(own, frame[_NAME])
            if problem is not None:
                return problem
        if at < len(came):
            return "resends_acked", f"{call[0]} returned {came[at]['content']!r}, which needs no sending (any more)"
        return None

    def _name_problem(self, own: _Own, name: Any) -> Problem | None:
        if not isinstance(name, str) or not name:
            return "new_name", f"client_message_id is {name!r}, not one from new_id()"
        if own.name is None and name in self.names:
            return "same_name", f"{own.text!r} has the client_message_id of another message, {name[:20]}"
        if own.name is not None and name != own.name:
            return "new_name", f"{own.text!r} was sent as {own.name}, and again as {name}"
        own.name = name
        self.names.add(name)
        return None


_NAME = "client_message_id"


def _listed(messages: list[Any]) -> str:
    return ", ".join(f"{seq} {text}" for seq, text in messages) or "none"


def _count(resumes: list[int]) -> str:
    return {0: "none", 1: "a resume"}.get(len(resumes), f"{len(resumes)} resumes")
