"""Who talks to whom: a conversation and a user, as stored."""

import re
from datetime import datetime

import msgspec

from reference_impl.model.errors import Invalid
from reference_impl.model.positions import MemberPositions

USER_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
_USER_ID = re.compile(USER_ID_PATTERN)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a program that can sign in."""

    id: str
    display_name: str


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation and its participants. ``seq`` is its head: the number of its last message."""

    id: str
    title: str
    creator_id: str
    participant_ids: list[str]
    created_at: datetime
    seq: int = 0


class ConversationView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as one participant sees it.

    ``unread_count``: messages of others after the last one they have read. ``positions``: ``user_id`` → how far
    each participant has come.
    """

    conversation: Conversation
    unread_count: int
    positions: dict[str, MemberPositions]


def validated_user_id(user_id: str) -> str:
    """``user_id`` if it is one; ``Invalid`` otherwise.

    Ids go into Redis keys, log lines and pages: a small alphabet keeps all of them safe.
    """
    if not _USER_ID.fullmatch(user_id):
        raise Invalid("a user id has 1 to 64 characters: letters, digits and . _ @ -, the first a letter or digit")
    return user_id
