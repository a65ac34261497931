"""What a push notification says about a message: short, plain, and safe to show on a locked screen."""

import unicodedata
from itertools import islice
from typing import Any, NotRequired, TypedDict

from wcwidth import iter_graphemes

from reference_impl.model.messages import Content, MessageInfo

BODY_CHARACTERS, TITLE_CHARACTERS = 120, 40
"""Characters as a reader counts them: an emoji of several code points is one."""

BYTES_PER_CHARACTER = 16
"""On average, at most. One "character" can carry thousands of accents; push services take about 4 KiB in all."""

NEUTRAL_TEXT = "New message"

MEDIA_WORDS = {"image": "📷 Photo", "video": "🎬 Video", "audio": "🎵 Audio"}
OTHER_MEDIA = "📎 File"

IMPORTANT_MARK = "❗ "

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_HALF_PAIRS = range(0xD800, 0xE000)
_DIRECTION_MARKS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""They can make a text read as another one, and must come in pairs, which shortening would break."""
_PLAIN = dict.fromkeys(_CONTROLS, " ") | dict.fromkeys([*_HALF_PAIRS, *_DIRECTION_MARKS])


class NotificationData(TypedDict):
    """What is pushed. ``message_id`` makes it the notification of that message, sent once for each user."""

    title: str
    body: str
    conversation_id: str
    message_id: NotRequired[str]


def notification_of(message: MessageInfo) -> NotificationData:
    """The notification of a stored message: who wrote, and what, in short."""
    title = shortened(message.sender_name, TITLE_CHARACTERS) or NEUTRAL_TEXT
    return NotificationData(
        title=IMPORTANT_MARK + title if message.is_important else title,
        body=extract_notification_content(message.type, message.content),
        conversation_id=message.conversation_id,
        message_id=message.id,
    )


def extract_notification_content(message_type: str, content: Content) -> str:
    """One line about a message's content; never empty. An unknown type gets a neutral line."""
    if message_type in {"text", "system"}:
        line = _shortened_field(content, "text")
    elif message_type == "media":
        line = _media_words(content.get("mime_type"))
    elif message_type == "structured":
        line = _shortened_field(content, "title")
    else:
        line = ""
    return line or NEUTRAL_TEXT


def shortened(text: str, characters: int) -> str:
    """``text`` in one line of at most ``characters``, cut between two of them; a cut is shown by ``…``.

    Empty when nothing visible is in it.
    """
    words = " ".join(text.translate(_PLAIN).split())
    if not _is_visible(words):
        return ""
    clusters = list(islice(iter_graphemes(words), characters + 1))
    if len(clusters) <= characters and _fits(words, characters):
        return words
    kept = "".join(clusters[: characters - 1])
    while not _fits(kept, characters):
        clusters = clusters[: len(clusters) // 2]
        kept = "".join(clusters[: characters - 1])
    return kept.rstrip() + "…"


def _fits(text: str, characters: int) -> bool:
    return len(text.encode()) <= characters * BYTES_PER_CHARACTER


def _is_visible(text: str) -> bool:
    """Joiners and blanks alone show nothing."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def _shortened_field(content: Content, name: str) -> str:
    value: Any = content.get(name)
    return shortened(value, BODY_CHARACTERS) if isinstance(value, str) else ""


def _media_words(mime_type: object) -> str:
    family = mime_type.partition("/")[0].strip().lower() if isinstance(mime_type, str) else ""
    return MEDIA_WORDS.get(family, OTHER_MEDIA)
