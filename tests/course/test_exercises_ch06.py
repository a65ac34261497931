"""Chapter 6: right answers in other styles pass, and what exercise 11 shows is short."""

import asyncio
import runpy
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from course.judges.resuming_in_server import judge_real
from tests.course.answers import failure_of

WRONG = Path(__file__).parent / "wrong_answers"


class OtherClient:
    """A right answer that looks different: one dict of all numbers, names of its own, frames only when connected."""

    def __init__(self, **_unused: Any) -> None:
        self.known: dict[int, str] = {}
        self.before = 0  # the number before the first one
        self.own: list[list[str]] = []
        self.asked: list[int | None] = []
        self.is_open = self.is_new = False

    @property
    def messages(self) -> list[list[Any]]:
        found, seq = [], self.before + 1
        while seq in self.known:
            found.append([seq, self.known[seq]])
            seq += 1
        return found

    @property
    def last(self) -> int:
        return self.messages[-1][0] if self.messages else 0

    def opened(self) -> list[dict[str, Any]]:
        self.is_open, self.asked, self.is_new = True, [None], False
        return [*(self.frame(one) for one in self.own), {"last_seq": self.last, "type": "resume"}]

    def closed(self) -> str:
        self.is_open = False
        self.known = {seq: self.known[seq] for seq, _ in self.messages}  # what was early comes again
        return "what closed returns does not matter"

    def send(self, text: str) -> list[dict[str, Any]]:
        self.own.append([str(uuid4()), text])
        return [self.frame(self.own[-1])] if self.is_open else []

    def frame(self, one: list[str]) -> dict[str, Any]:
        return {"client_message_id": one[0], "type": "text", "content": one[1]}

    def received(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        data = frame["data"]
        match frame["action"]:
            case "new_message":
                if self.is_new:
                    self.before, self.is_new = data["seq"] - 1, False
                self.known.setdefault(data["seq"], data["content"]["text"])
                self.own = [one for one in self.own if one[0] != data["client_message_id"]]  # stored: enough
            case "ack":
                for one in [one for one in self.own if one[0] == data["client_message_id"]]:
                    self.own.remove(one)
                    self.known.setdefault(data["seq"], one[1])
            case "resumed":
                self.asked = [data["seq"]]
                if not data["recovered"]:
                    self.known, self.before, self.is_new = {}, 0, True
        if self.asked and self.asked[0] is not None and self.last >= self.asked[0]:
            self.asked = []
        if self.asked or max(self.known, default=0) <= self.last:
            return []
        self.asked = [None]
        return [{"type": "resume", "last_seq": self.last}]


@pytest.mark.parametrize("check_id", ["11.1", "11.2", "11.3"])
def test_a_right_client_in_another_style_passes(check_id: str) -> None:
    """Other names, another order of frames, nothing sent while not connected: graded is what the task says."""
    assert failure_of(check_id, OtherClient, seed=4) is None


def test_what_a_client_does_wrong_is_shown_in_few_steps() -> None:
    """An ack that is lost needs a cut, and nothing else; what comes during a resume needs two messages."""
    wrong = runpy.run_path(str(WRONG / "ex11_sends_once.py"))["ResumingClient"]
    assert failure_of("11.2", wrong, seed=2).steps.count("→") == 4
    wrong = runpy.run_path(str(WRONG / "ex11_drops_what_comes_during_a_resume.py"))["ResumingClient"]
    assert failure_of("11.1", wrong, seed=2).steps.count("→") == 5


def test_a_store_and_a_client_that_differ_are_told_apart() -> None:
    """What the real server has against what the client has: each difference has its own name."""
    case = [["ann_sends", "a"], ["bob_writes", "b"], ["settles", 0]]
    right = [[1, "a"], [2, "b"]]

    def misconception(stored: list[Any], messages: list[Any], resumes: int = 1) -> str | None:
        failure = judge_real(case, [None, None, [stored, messages, resumes]])
        return failure and failure.misconception

    assert misconception(right, right) is None
    assert misconception([*right, [3, "a"]], right) == "new_name"
    assert misconception([[1, "b"]], [[1, "b"]]) == "forgets_unacked"
    assert misconception(right, right, resumes=90) == "resumes_for_ever"
    assert misconception(right, [*right, [2, "b"]]) == "shows_twice"
    assert misconception(right, [[2, "b"], [1, "a"]]) == "trusts_arrival_order"
    assert misconception(right, [[2, "b"]]) == "loses_own"
    assert misconception(right, [[1, "a"]]) == "does_not_ask"


class OtherDesk:
    """A right answer that looks different: a context manager, one loop, codes instead of exceptions."""

    def __init__(self, *, pauses: Any, **parts: Any) -> None:
        self.pauses, self.parts = list(pauses), parts

    @asynccontextmanager
    async def transaction(self) -> Any:
        open_one = await self.parts["store"].begin()
        done = False
        try:
            yield open_one
            await open_one.commit()
            done = True
        finally:
            if not done:
                await open_one.rollback()

    async def post(self, user: str, conversation: str, text: str, name: str, reply: Any) -> None:
        code, words, seq = await self.result(user, conversation, text, name)
        if code == "ack":
            result = await asyncio.gather(self.parts["bus"].publish(conversation, seq), return_exceptions=True)
            if isinstance(result[0], asyncio.CancelledError):
                raise result[0]
            if result[0] is not None:
                self.parts["alert"](str(result[0]))
        data = {"seq": seq} if code == "ack" else {"code": code, "message": words}
        answer = {"data": {"client_message_id": name, **data}, "action": "ack" if code == "ack" else "error"}
        with suppress(OSError):
            await reply(answer)

    async def result(self, user: str, conversation: str, text: str, name: str) -> tuple[str, str, int | None]:
        store = self.parts["store"]
        for number in range(len(self.pauses) + 1):
            try:
                async with self.transaction() as work:
                    if not await work.is_member(conversation, user):
                        raise store.NoSuchConversation  # noqa: TRY301
                    seq = await work.add_message(conversation, user, text, name)
                    await work.add_outbox(conversation, seq)
            except store.NoSuchConversation:
                return "forbidden", "no", None
            except store.Rejected as error:
                return "invalid", f"The server says: {error}.", None
            except (store.Busy, store.Lost) as error:
                last = error
            except Exception as error:  # noqa: BLE001
                self.parts["alert"](f"{type(error)}: {error}")
                return "server_error", "sorry", None
            else:
                return "ack", "", seq
            if number < len(self.pauses):
                await self.parts["sleep"](self.pauses[number])
        self.parts["alert"](f"gave up: {last}")
        return "unavailable", "later", None


@pytest.mark.parametrize("check_id", ["12.1", "12.2", "12.3"])
def test_a_right_desk_in_another_style_passes(check_id: str) -> None:
    """Other words, other names, another order inside: graded is what can be seen from outside."""
    assert failure_of(check_id, OtherDesk, seed=4) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tries_once", ["12.1", "12.2"]),
        ("same_code_other_words", ["12.2", "12.3"]),
        ("rolls_back_errors_only", ["12.1", "12.3"]),
    ],
)
def test_a_mistake_costs_only_its_own_points(name: str, kept: list[str]) -> None:
    """Who does not try again, leaks an id or forgets a cancelled request keeps the points of the other checks."""
    desk = runpy.run_path(str(WRONG / f"ex12_{name}.py"))["MessageDesk"]
    assert [failure_of(check_id, desk, seed=2) for check_id in kept] == [None, None]
