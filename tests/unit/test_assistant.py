"""Which messages ask the assistant, and what it is shown."""

from datetime import timedelta
from typing import Any

import pytest

from reference_impl.model.assistant import (
    CONTEXT_CHARACTERS,
    LONGEST_ANSWER,
    TOO_OLD,
    Turn,
    bounded_answer,
    is_mentioned,
    is_question,
    turns_of,
    validated_person,
)
from reference_impl.model.errors import Invalid
from reference_impl.model.messages import MessageInfo
from tests.fakes import NOON

PAIR, GROUP = ["ann", "assistant"], ["ann", "bob", "assistant"]


def message(text: str, **fields: Any) -> MessageInfo:
    defaults: dict[str, Any] = {
        "id": "m-1", "conversation_id": "c-1", "seq": 1, "sender_id": "ann", "sender_type": "user",
        "sender_name": "Ann", "type": "text", "content": {"text": text}, "timestamp": NOON,
    }  # fmt: skip
    return MessageInfo(**(defaults | fields))


def answered(text: str) -> MessageInfo:
    return message(text, sender_id="assistant", sender_type="ai", sender_name="Assistant")


@pytest.mark.parametrize(
    "text", ["@assistant hello", "hello @assistant", "hello, @Assistant!", "(@assistant)", "你好@assistant吗"]
)
def test_mentions(text: str) -> None:
    """Anywhere in the text, in any case, beside punctuation, and in languages that set no spaces."""
    assert is_mentioned(message(text))


@pytest.mark.parametrize("text", ["assistant", "me@assistant.example", "@assistants", "@assistant-two", "@@assistan"])
def test_what_is_no_mention(text: str) -> None:
    """The bare word, an address, a longer name."""
    assert not is_mentioned(message(text))


def test_who_is_answered() -> None:
    """Any text between the two of them; among others only where it is mentioned."""
    assert is_question(message("hello"), PAIR, NOON)
    assert not is_question(message("hello"), GROUP, NOON)
    assert is_question(message("hello @assistant"), GROUP, NOON)


@pytest.mark.parametrize(
    "one",
    [
        answered("@assistant hello"),
        message("@assistant", type="system"),
        message("@assistant", type="structured", content={"text": 1}),
    ],
)
def test_programs_and_other_kinds_are_not_answered(one: MessageInfo) -> None:
    """Two programs that answer each other would never end."""
    assert not is_question(one, PAIR, NOON)


def test_an_old_question_is_not_answered() -> None:
    """Its asker has gone on."""
    assert is_question(message("hello"), PAIR, NOON + TOO_OLD)
    assert not is_question(message("hello"), PAIR, NOON + TOO_OLD + timedelta(seconds=1))


def test_what_the_model_is_shown() -> None:
    """Texts with their authors, the assistant's own as its own; neither pictures nor its words of failure."""
    history = [
        message("hello"),
        answered("hello Ann"),
        message("", type="media", content={"url": "u", "mime_type": "image/png"}),
        message("can not", type="system", sender_type="ai"),
        message("and now?", sender_id="bob", sender_name="Bob"),
    ]
    assert turns_of(history) == [
        Turn("user", "Ann: hello"), Turn("assistant", "hello Ann"), Turn("user", "Bob: and now?")
    ]  # fmt: skip


def test_the_context_is_bounded() -> None:
    """The latest fit, the question always does, and no message is cut or left out in the middle."""
    half = "x" * (CONTEXT_CHARACTERS // 2)
    assert len(turns_of([message("first"), message(half), message(half)])) == 2
    assert len(turns_of([message("first"), message(half * 3)])) == 1


def test_an_answer_is_bounded() -> None:
    """And says that it was cut."""
    assert bounded_answer("short") == "short"
    long = bounded_answer("x" * (LONGEST_ANSWER + 1))
    assert (len(long), long[-1]) == (LONGEST_ANSWER, "…")


@pytest.mark.parametrize("name", ["assistant", "Assistant", "ASSISTANT"])
def test_nobody_signs_in_as_the_assistant(name: str) -> None:
    """In no spelling: its word counts as the server's."""
    with pytest.raises(Invalid, match="program"):
        validated_person(name)
    assert validated_person("assistant-2") == "assistant-2"
