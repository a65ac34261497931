"""Conversations and messages over HTTP."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from reference_impl.api.deps import CurrentUser, ServicesDep
from reference_impl.api.schemas import (
    ConversationCreateRequest,
    ConversationResponse,
    MessageCreateRequest,
    MessageResponse,
    ParticipantRequest,
    PositionResponse,
    ReadRequest,
    UserIdInPath,
)
from reference_impl.model.conversations import ConversationView
from reference_impl.model.messages import MessageInfo
from reference_impl.model.positions import PositionKind

router = APIRouter(prefix="/api/v1/conversations", tags=["chat"])

Seq = Annotated[int | None, Query(ge=0, le=2**53)]


@router.post("", status_code=201)
async def create_conversation(
    body: ConversationCreateRequest, user: CurrentUser, services: ServicesDep
) -> ConversationResponse:
    """Starts a conversation. The caller is a participant."""
    return _conversation(await services.conversations.create(user, body.title, body.participant_ids))


@router.get("")
async def list_conversations(user: CurrentUser, services: ServicesDep) -> list[ConversationResponse]:
    """All conversations of the caller, oldest first."""
    return [_conversation(found) for found in await services.conversations.all_of(user.user_id)]


@router.get("/{conversation_id}")
async def get_conversation(conversation_id: str, user: CurrentUser, services: ServicesDep) -> ConversationResponse:
    """One conversation of the caller."""
    return _conversation(await services.conversations.view(conversation_id, user.user_id))


@router.post("/{conversation_id}/participants", status_code=201)
async def add_participant(
    conversation_id: str, body: ParticipantRequest, user: CurrentUser, services: ServicesDep
) -> ConversationResponse:
    """Adds somebody. Any participant may."""
    return _conversation(await services.conversations.add_participant(conversation_id, body.user_id, by=user.user_id))


@router.delete("/{conversation_id}/participants/{user_id}", status_code=204)
async def remove_participant(
    conversation_id: str, user_id: UserIdInPath, user: CurrentUser, services: ServicesDep
) -> None:
    """The creator removes somebody, or the caller leaves. Live sockets end, too."""
    await services.conversations.remove_participant(conversation_id, user_id, by=user.user_id)


@router.post("/{conversation_id}/messages", status_code=201)
async def create_message(
    conversation_id: str, body: MessageCreateRequest, user: CurrentUser, services: ServicesDep
) -> MessageResponse:
    """Says something. When the answer is there, the message is durable."""
    if services.recorder.on:
        services.recorder.hop(
            "received",
            client_message_id=body.client_message_id,
            conversation_id=conversation_id,
            user_id=user.user_id,
            via="http",
        )
    message = await services.messages.create_message(
        conversation_id,
        user,
        body.content,
        body.type,
        client_message_id=body.client_message_id,
        is_important=body.is_important,
        reply_to_message_id=body.reply_to_message_id,
        extra_metadata=body.extra_metadata,
    )
    return _message(message)


@router.get("/{conversation_id}/messages")
async def list_messages(
    conversation_id: str,
    user: CurrentUser,
    services: ServicesDep,
    after_seq: Seq = None,
    before_seq: Seq = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[MessageResponse]:
    """History, ascending by ``seq``: what follows ``after_seq``, else what comes right before ``before_seq``."""
    await services.conversations.require_participant(conversation_id, user.user_id)
    page = await services.messages.history(conversation_id, after_seq=after_seq, before_seq=before_seq, limit=limit)
    return [_message(message) for message in page]


@router.post("/{conversation_id}/read", status_code=204)
async def mark_read(conversation_id: str, body: ReadRequest, user: CurrentUser, services: ServicesDep) -> None:
    """The caller has read everything up to ``seq``. Their other devices and the other members see it."""
    await services.activity.advance(conversation_id, user.user_id, PositionKind.READ, body.seq)


def _conversation(view: ConversationView) -> ConversationResponse:
    return ConversationResponse(
        **msgspec.structs.asdict(view.conversation),
        unread_count=view.unread_count,
        positions={
            user_id: PositionResponse(delivered=position.delivered, read=position.read)
            for user_id, position in view.positions.items()
        },
    )


def _message(message: MessageInfo) -> MessageResponse:
    return MessageResponse(**msgspec.structs.asdict(message))
