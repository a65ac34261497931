"""What a push says about a message, for any message."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from reference_impl.model.messages import MESSAGE_TYPES, MessageInfo
from reference_impl.model.notification_content import (
    BODY_CHARACTERS,
    BYTES_PER_CHARACTER,
    NEUTRAL_TEXT,
    extract_notification_content,
    notification_of,
    shortened,
)
from tests.fakes import NOON

FAMILY, ACCENTED, FLAG = "👨‍👩‍👧", "e\u0301", "🇨🇳"


def message(**fields: Any) -> MessageInfo:
    """A text of ann's, except for what is given."""
    defaults: dict[str, Any] = {
        "id": "m-1", "conversation_id": "c-1", "seq": 1, "sender_id": "ann", "sender_type": "user",
        "sender_name": "Ann", "type": "text", "content": {"text": "hello"}, "timestamp": NOON,
    }  # fmt: skip
    return MessageInfo(**(defaults | fields))


@pytest.mark.parametrize(
    ("message_type", "content", "says"),
    [
        ("text", {"text": "hello"}, "hello"),
        ("text", {"text": "  two\n\n lines\t here "}, "two lines here"),
        ("text", {"text": "\u200b\u200d"}, NEUTRAL_TEXT),
        ("text", {"text": "price: 5\u202e EUR"}, "price: 5 EUR"),
        ("system", {"text": "Bob has left"}, "Bob has left"),
        ("media", {"url": "u", "mime_type": "image/png"}, "📷 Photo"),
        ("media", {"url": "u", "mime_type": "VIDEO/mp4"}, "🎬 Video"),
        ("media", {"url": "u", "mime_type": "audio/ogg"}, "🎵 Audio"),
        ("media", {"url": "u", "mime_type": "application/pdf"}, "📎 File"),
        ("media", {"url": "u", "mime_type": 7}, "📎 File"),
        ("structured", {"title": "Build 12 failed", "log": "…"}, "Build 12 failed"),
        ("structured", {"title": {"nested": True}}, NEUTRAL_TEXT),
        ("structured", {}, NEUTRAL_TEXT),
        ("telepathy", {"text": "hello"}, NEUTRAL_TEXT),
    ],
)
def test_each_type_has_its_line(message_type: str, content: dict[str, Any], says: str) -> None:
    """A text says itself, media what kind they are, a structure its title."""
    assert extract_notification_content(message_type, content) == says


def test_the_whole_notification() -> None:
    """From whom, what, where; important ones are marked."""
    assert notification_of(message()) == {
        "title": "Ann", "body": "hello", "conversation_id": "c-1", "message_id": "m-1"
    }  # fmt: skip
    assert notification_of(message(is_important=True))["title"] == "❗ Ann"
    assert notification_of(message(sender_name=" \n"))["title"] == NEUTRAL_TEXT


@pytest.mark.parametrize("character", [FAMILY, ACCENTED, FLAG, "한", "x"])
def test_what_a_reader_sees_as_one_is_not_cut(character: str) -> None:
    """A family stays together, an accent stays on its letter."""
    assert shortened(character * 5, 5) == character * 5
    assert shortened(character * 6, 5) == character * 4 + "…"


def test_a_tower_of_accents_is_bounded() -> None:
    """One "character" of 100 kB is none that could be pushed."""
    assert shortened("a" + "\u0301" * 50_000, 120) == "…"
    assert len(shortened("hi " + "a" + "\u0301" * 50_000, 120)) < 2000


TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from([FAMILY, ACCENTED, FLAG, "a", " ", "\n", "\u200d", "\ufe0f", "\ud83d", "中"])).map(
        "".join
    ),
)


@given(text=TEXTS, characters=st.integers(1, 130))
def test_shortened_is_short_and_whole(text: str, characters: int) -> None:
    """One line, not too long, valid Unicode, and every character of it one of the text's."""
    short = shortened(text, characters)
    assert len(list(iter_graphemes(short))) <= characters
    assert len(short.encode()) <= characters * BYTES_PER_CHARACTER + len("…".encode())
    assert short == " ".join(short.split())
    whole = list(iter_graphemes(shortened(text, 100_000)))
    kept = list(iter_graphemes(short.removesuffix("…") if short != "".join(whole) else short))
    assert kept == whole[: len(kept)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
CONTENT = st.dictionaries(st.sampled_from(["text", "title", "url", "mime_type", "other"]), JSON | TEXTS)


@given(message_type=st.sampled_from(MESSAGE_TYPES) | st.text(max_size=8), content=CONTENT, name=TEXTS)
def test_any_message_makes_a_notification(message_type: str, content: dict[str, Any], name: str) -> None:
    """Never an error, never an empty line, always bounded, always JSON."""
    made = notification_of(message(type=message_type, content=content, sender_name=name, is_important=True))
    assert made["title"].strip()
    assert made["body"].strip()
    assert len(list(iter_graphemes(made["body"]))) <= BODY_CHARACTERS
    assert len(msgspec.json.encode(made)) < 4096
