"""The WebSocket door: from the handshake to the last frame of one connection."""

import logging
from contextlib import suppress

from fastapi import APIRouter, WebSocket

from reference_impl.api.deps import Services
from reference_impl.api.sign_in import chosen_subprotocol, sign_in
from reference_impl.api.socket_session import SocketSession
from reference_impl.core.ports import Transport
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.errors import AuthenticationFailed, ChatError, ConnectionLimitExceeded, Forbidden
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)
router = APIRouter()


class WebSocketTransport(Transport):
    """The framework's socket as the core's transport."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._accepted = False

    async def accept(self) -> None:
        """Completes the handshake, once."""
        if not self._accepted:
            await self._websocket.accept(subprotocol=chosen_subprotocol(self._websocket))
            self._accepted = True

    async def send_text(self, text: str) -> None:
        """Sends one text frame; waits while the peer's side of the network is full."""
        await self._websocket.send({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str) -> None:
        """Sends the close frame, unless the peer is gone."""
        with suppress(RuntimeError, OSError):
            await self._websocket.close(code, reason)


@router.websocket("/ws/{conversation_id}")
async def chat_socket(websocket: WebSocket, conversation_id: str) -> None:
    """One device of one user on one conversation."""
    services: Services = websocket.app.state.services
    transport = WebSocketTransport(websocket)
    # Accept first, whoever it is: before the handshake a close code can not reach a client, only HTTP 403 can.
    await transport.accept()
    try:
        identity = await sign_in(websocket, services)
        await services.conversations.require_participant(conversation_id, identity.user_id)
        connection_id = await _connect(websocket, transport, services, identity, conversation_id)
    except ChatError as error:
        await transport.close(_close_code_for(error), error.message)
        return
    session = SocketSession(websocket, services, identity, conversation_id, connection_id)
    try:
        await session.run()
    finally:
        await services.connections.disconnect(connection_id)


async def _connect(
    websocket: WebSocket, transport: Transport, services: Services, identity: Identity, conversation_id: str
) -> str:
    def welcome(connection_id: str, seq: int) -> EncodedFrame:
        data = {
            "connection_id": connection_id,
            "instance_id": services.settings.instance_id,
            "user_id": identity.user_id,
            "seq": seq,
            "heartbeat_interval": services.settings.heartbeat_interval_s,
        }
        return encode_frame("connected", data, conversation_id=conversation_id, timestamp=services.clock())

    metadata = {
        "device_id": websocket.query_params.get("device_id"),
        "device_type": websocket.query_params.get("device_type", "web"),
    }
    return await services.connections.connect(identity.user_id, transport, conversation_id, welcome, metadata)


def _close_code_for(error: ChatError) -> CloseCode:
    match error:
        case AuthenticationFailed():
            return CloseCode.AUTHENTICATION_FAILED
        case Forbidden():
            return CloseCode.ACCESS_DENIED
        case ConnectionLimitExceeded():
            return CloseCode.CONNECTION_LIMIT
        case _:
            return CloseCode.INTERNAL_ERROR
