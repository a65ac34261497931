"""A chat message: its fields, the four kinds of content, and what makes content valid."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from reference_impl.model.errors import Invalid
from reference_impl.model.json_values import require_json

MESSAGE_TYPES = ("text", "media", "system", "structured")

Content = dict[str, Any]

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class MessageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message, as clients see it: flat, so that a client needs no second lookup.

    ``seq`` counts from 1 within the conversation, without gaps; it is the one order everybody sees.
    ``timestamp`` is the store's time of writing, aware, UTC.
    """

    id: str
    conversation_id: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    sender_id: str
    sender_type: str
    sender_name: str
    sender_avatar: str | None = None
    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(MESSAGE_TYPES)})]
    content: Content
    """By ``type``: text ``{"text"}``, media ``{"url", "mime_type", …}``, system ``{"text", …}``, structured any."""
    timestamp: AwareTime
    is_read: bool = False
    """Whether somebody other than the sender has read it."""
    is_important: bool = False
    reply_to_message_id: str | None = None
    client_message_id: str | None = None
    """The sender's own name for it."""
    extra_metadata: dict[str, Any] | None = None


class MessageDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is valid but not stored yet: everything except ``seq``.

    ``client_message_id`` is the sender's own name for it. Two drafts with the same sender and the same
    ``client_message_id`` are the same message, sent twice.
    """

    id: str
    conversation_id: str
    sender_id: str
    sender_type: str
    sender_name: str
    sender_avatar: str | None = None
    type: str
    content: Content
    timestamp: datetime
    is_important: bool = False
    reply_to_message_id: str | None = None
    client_message_id: str | None = None
    extra_metadata: dict[str, Any] | None = None

    def numbered(self, seq: int) -> MessageInfo:
        """The stored message this draft becomes when the store gives it ``seq``."""
        return MessageInfo(seq=seq, **msgspec.structs.asdict(self))


def validated_content(message_type: str, content: object, *, max_bytes: int) -> Content:
    """``content`` in its one stored form, an object; a plain string is a text's ``{"text"}``.

    Raises ``Invalid`` when it does not fit ``message_type``, ``TooLarge`` when its JSON is over ``max_bytes``.
    """
    if message_type not in MESSAGE_TYPES:
        raise Invalid(f"type must be one of {', '.join(MESSAGE_TYPES)}")
    if isinstance(content, str) and message_type in {"text", "system"}:
        content = {"text": content}
    if not isinstance(content, dict):
        raise Invalid(f"content of a {message_type} message must be an object")
    if message_type in {"text", "system"}:
        _require_strings(content, "text")
    elif message_type == "media":
        _require_strings(content, "url", "mime_type")
    require_json(content, "content", max_bytes=max_bytes)
    return content


def _require_strings(content: Content, *names: str) -> None:
    for name in names:
        value = content.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Invalid(f"content.{name} must be a string that is not empty")
