"""The WebSocket door: from the handshake to the last frame of one connection."""

import logging
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from msgspec import UNSET
from uuid_utils import uuid7

from reference_impl.api.asgi_socket import AsgiTransport, run_through_asgi
from reference_impl.api.deps import Services
from reference_impl.api.direct_socket import DirectReader, wire_of
from reference_impl.api.origins import require_allowed_origin
from reference_impl.api.sign_in import address_of, sign_in
from reference_impl.api.socket_session import SocketSession
from reference_impl.core.ports import Transport
from reference_impl.logs import belonging_to
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.errors import (
    AuthenticationFailed,
    ChatError,
    ConnectionLimitExceeded,
    Forbidden,
    Invalid,
)
from reference_impl.model.server_frames import ConnectedData
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)
router = APIRouter()

MAX_DEVICE_CHARACTERS = 100


@router.websocket("/ws/{conversation_id}")
async def chat_socket(websocket: WebSocket, conversation_id: str) -> None:
    """One device of one user on one conversation."""
    await _serve_logged(websocket, conversation_id)


@router.websocket("/ws")
async def device_socket(websocket: WebSocket) -> None:
    """One device of one user on all of their conversations."""
    await _serve_logged(websocket, None)


async def _serve_logged(websocket: WebSocket, conversation_id: str | None) -> None:
    """Every line that is logged meanwhile says which connection it belongs to."""
    connection_id = str(uuid7())
    with belonging_to(connection_id=connection_id, conversation_id=conversation_id):
        await _serve(websocket, conversation_id, connection_id)


async def _serve(websocket: WebSocket, conversation_id: str | None, connection_id: str) -> None:
    services: Services = websocket.app.state.services
    wire = wire_of(websocket)
    transport = AsgiTransport(websocket) if wire is None else wire
    # Accept first, whoever it is: before the handshake a close code can not reach a client, only HTTP 403 can.
    try:
        await transport.accept()
    except OSError:  # gone already
        return
    try:
        require_allowed_origin(websocket)
        last_seq = _last_seq(websocket, conversation_id)
        identity = await sign_in(websocket, services)
        await _connect(websocket, transport, services, identity, conversation_id, connection_id, last_seq)
    except ChatError as error:
        code = _close_code_for(error)
        services.traffic.refused[code] += 1
        services.traffic.errors[error.code] += 1
        with suppress(OSError, RuntimeError, WebSocketDisconnect):  # gone already
            await websocket.close(code, error.message)
        return
    connection = services.connections.connection_manager.connections_by_id[connection_id]
    session = SocketSession(services, identity, conversation_id, connection)
    if last_seq is not None:
        session.resume(last_seq)
    if isinstance(transport, AsgiTransport):
        await run_through_asgi(websocket, transport, session)
    else:
        DirectReader(transport, session)


async def _connect(
    websocket: WebSocket,
    transport: Transport,
    services: Services,
    identity: Identity,
    conversation_id: str | None,
    connection_id: str,
    last_seq: int | None,
) -> None:
    def welcome(connection_id: str, conversation_id: str | None, heads: dict[str, int]) -> EncodedFrame:
        data = ConnectedData(
            connection_id=connection_id,
            instance_id=services.settings.instance_id,
            user_id=identity.user_id,
            seq=heads[conversation_id] if conversation_id is not None else None,
            heartbeat_interval=services.settings.heartbeat_interval_s,
            heads=heads if conversation_id is None else UNSET,
        )
        return encode_frame(data, conversation_id=conversation_id, timestamp=services.clock())

    if conversation_id is None:
        conversation_ids = await services.conversations.conversation_ids_of(identity.user_id)
    else:
        await services.conversations.require_participant(conversation_id, identity.user_id)
        conversation_ids = [conversation_id]
    await services.connections.connect(
        identity.user_id,
        transport,
        conversation_ids,
        welcome,
        _device(websocket),
        connection_id,
        address=address_of(websocket),
        token_id=identity.token_id,
        is_device_wide=conversation_id is None,
        last_seq=last_seq,
    )


def _last_seq(websocket: WebSocket, conversation_id: str | None) -> int | None:
    """What the client has, from the query. Raises ``Invalid``."""
    given = websocket.query_params.get("last_seq")
    if given is None:
        return None
    if conversation_id is None:
        raise Invalid("last_seq needs a conversation: send a resume frame for each")
    if not (given.isascii() and given.isdigit() and len(given) <= 16):
        raise Invalid("last_seq must be a number, 0 or more")
    return int(given)


def _device(websocket: WebSocket) -> dict[str, Any]:
    """What the query says of the device. Raises ``Invalid``."""
    device_id = websocket.query_params.get("device_id") or None
    device_type = websocket.query_params.get("device_type") or "web"
    for value in (device_id or "", device_type):
        if len(value) > MAX_DEVICE_CHARACTERS or not value.isprintable():
            raise Invalid(f"device_id and device_type have at most {MAX_DEVICE_CHARACTERS} printable characters")
    return {"device_id": device_id, "device_type": device_type}


def _close_code_for(error: ChatError) -> CloseCode:
    match error:
        case AuthenticationFailed():
            return CloseCode.AUTHENTICATION_FAILED
        case Forbidden():
            return CloseCode.ACCESS_DENIED
        case ConnectionLimitExceeded():
            return CloseCode.CONNECTION_LIMIT
        case Invalid():
            return CloseCode.POLICY_VIOLATION
        case _:
            return CloseCode.INTERNAL_ERROR
