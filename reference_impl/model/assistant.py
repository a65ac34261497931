"""The assistant: a participant that is a program. Which messages ask it, and what it is shown to answer them. Pure."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from reference_impl.model.conversations import validated_user_id
from reference_impl.model.errors import Invalid
from reference_impl.model.messages import MessageInfo

ASSISTANT_ID = "assistant"
"""Nobody signs in under this name: see ``AuthenticationService``."""

ASSISTANT_NAME = "Assistant"
SENDER_TYPE = "ai"

TOO_OLD = timedelta(minutes=10)
"""A question that nobody could answer for so long is not answered any more: its asker has gone on."""

CONTEXT_MESSAGES = 20
CONTEXT_CHARACTERS = 8000
"""How much of a conversation goes with a question: the latest of it."""

LONGEST_ANSWER = 8000
"""In characters. What is longer is cut."""

_MENTION = re.compile(rf"(?<![\w@.-])@{ASSISTANT_ID}(?![\w@-])", re.IGNORECASE | re.ASCII)


class Author(msgspec.Struct, frozen=True):
    """The assistant, as the sender of a message."""

    user_id: str = ASSISTANT_ID
    display_name: str = ASSISTANT_NAME


class Turn(msgspec.Struct, frozen=True):
    """One message of a conversation, as a language model is shown it."""

    role: Literal["user", "assistant"]
    text: str


class AiRequest(msgspec.Struct, frozen=True):
    """A question that waits for its answer. Its text stays in the store."""

    conversation_id: str
    message_id: str
    seq: int
    user_id: str
    """Who asked."""


def validated_person(user_id: str) -> str:
    """``user_id`` if somebody may sign in under it; ``Invalid`` otherwise: nobody passes for the assistant."""
    if validated_user_id(user_id).casefold() == ASSISTANT_ID:
        raise Invalid(f"{ASSISTANT_ID} is a program of this server; choose another name")
    return user_id


def is_question(message: MessageInfo, member_ids: Collection[str], now: datetime) -> bool:
    """Whether the assistant, who is a member, is to answer: it is mentioned, or there are only the two of them.

    Only people are answered. Programs that answer each other never end.
    """
    if message.sender_type != "user" or message.type != "text" or now - message.timestamp > TOO_OLD:
        return False
    return len(member_ids) == 2 or is_mentioned(message)


def is_mentioned(message: MessageInfo) -> bool:
    """Whether the text names the assistant, as in ``@assistant``."""
    return _MENTION.search(_text_of(message)) is not None


def turns_of(history: Iterable[MessageInfo]) -> list[Turn]:
    """The texts of ``history``, which ends in the question, as far as they fit. The question is always there."""
    turns: list[Turn] = []
    room = CONTEXT_CHARACTERS
    for message in reversed(list(history)):
        text = _text_of(message)
        if message.type != "text" or not text:
            continue
        if turns and len(text) > room:
            break
        room -= len(text)
        is_own = message.sender_type == SENDER_TYPE
        turns.append(Turn("assistant", text) if is_own else Turn("user", f"{message.sender_name}: {text}"))
    return turns[::-1]


def bounded_answer(text: str) -> str:
    """``text`` if it is not too long, else its beginning."""
    return text if len(text) <= LONGEST_ANSWER else text[: LONGEST_ANSWER - 1] + "…"


def _text_of(message: MessageInfo) -> str:
    text = message.content.get("text")
    return text if isinstance(text, str) else ""
