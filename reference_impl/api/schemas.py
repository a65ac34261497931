"""The bodies of HTTP requests and answers. Unknown fields are refused: a typo must not pass for a default."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reference_impl.model.json_values import has_only_text


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _only_text(value: str) -> str:
    if not has_only_text(value):
        raise ValueError("must not hold a NUL, or half of a character")
    return value


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_only_text)]
"""What people see."""


class TokenRequest(_Request):
    """Signs in as anybody, in demo mode."""

    user_id: str
    display_name: Name | None = None


class TokenResponse(BaseModel):
    """An access token."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a scheme, not a secret
    expires_at: datetime


class TicketResponse(BaseModel):
    """A single-use ticket; ``expires_in`` is in seconds."""

    ticket: str
    expires_in: int


class ConversationCreateRequest(_Request):
    """A new conversation. The caller takes part without being named."""

    title: Name
    participant_ids: list[str] = Field(default_factory=list, max_length=10_000)


class ParticipantRequest(_Request):
    """Somebody to add."""

    user_id: str


class PositionResponse(BaseModel):
    """Everything up to these numbers has reached the member, and was read by them."""

    delivered: int
    read: int


class ConversationResponse(BaseModel):
    """A conversation as the caller sees it; ``seq`` is the number of its last message."""

    id: str
    title: str
    creator_id: str
    participant_ids: list[str]
    created_at: datetime
    seq: int
    unread_count: int
    positions: dict[str, PositionResponse]


class ReadRequest(_Request):
    """The caller has read everything up to ``seq``."""

    seq: int = Field(ge=0, le=2**53)


class AnnouncementRequest(_Request):
    """What an operator has to say."""

    text: str = Field(min_length=1, max_length=1000)
    level: Literal["info", "warning", "error"] = "info"


class NoticeRequest(AnnouncementRequest):
    """What an operator has to say to one user; on devices of one type alone, if it is named."""

    device_type: str | None = Field(default=None, min_length=1, max_length=100)


class NoticeResponse(BaseModel):
    """How the user was told: on a socket, or, since they had none of that kind, by a push that is on its way."""

    reached: Literal["socket", "push"]


class MessageCreateRequest(_Request):
    """A new message. Sender, time and number are the server's."""

    type: str = "text"
    content: str | dict[str, Any]
    client_message_id: str | None = Field(default=None, min_length=1, max_length=100)
    is_important: bool = False
    reply_to_message_id: str | None = None
    extra_metadata: dict[str, Any] | None = None


class MessageResponse(BaseModel):
    """A stored message."""

    id: str
    conversation_id: str
    seq: int
    sender_id: str
    sender_type: str
    sender_name: str
    sender_avatar: str | None
    type: str
    content: dict[str, Any]
    timestamp: datetime
    is_read: bool
    is_important: bool
    reply_to_message_id: str | None
    client_message_id: str | None
    extra_metadata: dict[str, Any] | None


class DeviceResponse(BaseModel):
    """A device of the caller's, and how many connections it has."""

    device_id: str | None
    device_type: str
    connections: int


class PageConfig(BaseModel):
    """What a page needs to know of the instance that served it. ``peer_urls``: where the same conversations can be
    had when this instance does not answer. ``max_message_bytes``: of a frame, as JSON."""

    instance_id: str
    demo_login: bool
    max_message_bytes: int
    peer_urls: tuple[str, ...]
