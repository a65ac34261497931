"""The bodies of HTTP requests and answers. Unknown fields are refused: a typo must not pass for a default."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reference_impl.model.conversations import USER_ID_PATTERN
from reference_impl.model.json_values import has_only_text
from reference_impl.model.messages import MESSAGE_TYPES

# The patterns and lists are for the documentation; it is the model that checks, and says in words what is wrong.
UserId = Annotated[str, Field(examples=["alice"], json_schema_extra={"pattern": f"^{USER_ID_PATTERN}$"})]
UserIdInPath = Annotated[str, Path(examples=["bob"], json_schema_extra={"pattern": f"^{USER_ID_PATTERN}$"})]
MessageType = Annotated[str, Field(json_schema_extra={"enum": list(MESSAGE_TYPES)})]
Seq = Annotated[int, Field(ge=0)]

NO_NUL: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}
"""Means the same in Python and in JavaScript. Halves of characters are refused, too, and not named here: in JavaScript,
without its Unicode flag, a pattern for them would find those of every emoji.
"""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ErrorDetail(_Answer):
    """What went wrong."""

    code: str
    """For programs: ``invalid``, ``unauthenticated``, ``forbidden``, ``rate_limited`` …"""
    message: str
    """For people."""
    request_id: str
    """The same as in ``X-Request-ID``: it finds the request in the server's log."""


class ErrorResponse(_Answer):
    """Every error of every route."""

    error: ErrorDetail


def _only_text(value: str) -> str:
    if not has_only_text(value):
        raise ValueError("must not hold a NUL, or half of a character")
    return value


Name = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=NO_NUL), AfterValidator(_only_text)]
"""What people see."""

ClientMessageId = Annotated[str, Field(min_length=1, max_length=100, json_schema_extra=NO_NUL)]
MessageId = Annotated[str, Field(json_schema_extra={"maxLength": 36, **NO_NUL})]


class TokenRequest(_Request):
    """Signs in as anybody, in demo mode."""

    user_id: UserId
    display_name: Name | None = Field(default=None, examples=["Alice"])
    """What others see; the id if left out."""


class TokenResponse(_Answer):
    """An access token."""

    access_token: str
    """A JWT. Treat it as a secret: it does not belong into a URL or a log."""
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a scheme, not a secret
    expires_at: datetime


class TicketResponse(_Answer):
    """A single-use ticket; ``expires_in`` is in seconds."""

    ticket: str
    expires_in: int


class ConversationCreateRequest(_Request):
    """A new conversation. The caller takes part without being named."""

    title: Name = Field(examples=["Tea"])
    participant_ids: list[UserId] = Field(default_factory=list, max_length=10_000, examples=[["bob", "carol"]])


class ParticipantRequest(_Request):
    """Somebody to add."""

    user_id: UserId


class PositionResponse(_Answer):
    """Everything up to these numbers has reached the member, and was read by them."""

    delivered: Seq
    read: Seq


class ConversationResponse(_Answer):
    """A conversation as the caller sees it; ``seq`` is the number of its last message."""

    id: str
    title: str
    creator_id: str
    participant_ids: list[str]
    created_at: datetime
    seq: Seq
    unread_count: Seq
    positions: dict[str, PositionResponse]


class ReadRequest(_Request):
    """The caller has read everything up to ``seq``."""

    seq: int = Field(ge=0, le=2**53, examples=[42])


class AnnouncementRequest(_Request):
    """What an operator has to say."""

    text: str = Field(min_length=1, max_length=1000)
    level: Literal["info", "warning", "error"] = "info"


class NoticeRequest(AnnouncementRequest):
    """What an operator has to say to one user; on devices of one type alone, if it is named."""

    device_type: str | None = Field(default=None, min_length=1, max_length=100)


class NoticeResponse(_Answer):
    """How the user was told: on a socket, or, since they had none of that kind, by a push that is on its way."""

    reached: Literal["socket", "push"]


class MessageCreateRequest(_Request):
    """A new message. Sender, time and number are the server's."""

    type: MessageType = "text"
    content: str | dict[str, Any] = Field(examples=["Is anybody there?", {"text": "Is anybody there?"}])
    """By ``type``: text ``{"text"}`` or just the text, media ``{"url", "mime_type", …}``, system ``{"text", …}``,
    structured any object."""
    client_message_id: ClientMessageId | None = Field(default=None, examples=["alice-laptop-17"])
    """Your own name for it. Sent again under the same name it is the same message, not a second one."""
    is_important: bool = False
    reply_to_message_id: MessageId | None = None
    extra_metadata: dict[str, Any] | None = None


class MessageResponse(_Answer):
    """A stored message."""

    id: str
    conversation_id: str
    seq: int = Field(ge=1)
    """Its number in the conversation, from 1, without gaps: the one order that everybody sees."""
    sender_id: str
    sender_type: str
    sender_name: str
    sender_avatar: str | None
    type: MessageType
    content: dict[str, Any]
    timestamp: datetime
    is_read: bool
    is_important: bool
    reply_to_message_id: str | None
    client_message_id: str | None
    extra_metadata: dict[str, Any] | None


class DeviceResponse(_Answer):
    """A device of the caller's, and how many connections it has."""

    device_id: str | None
    device_type: str
    connections: int


class PageConfig(_Answer):
    """What a page needs to know of the instance that served it. ``peer_urls``: where the same conversations can be
    had when this instance does not answer. ``max_message_bytes``: of a frame, as JSON."""

    instance_id: str
    demo_login: bool
    max_message_bytes: int
    peer_urls: tuple[str, ...]
