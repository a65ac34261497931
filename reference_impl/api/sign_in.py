"""The ways to sign a WebSocket in."""

import asyncio

from fastapi import WebSocket, WebSocketDisconnect

from reference_impl.api.deps import Services
from reference_impl.model.connection_limits import counted_address
from reference_impl.model.errors import AuthenticationFailed, ChatError
from reference_impl.model.frames import AuthFrame, parse_client_frame
from reference_impl.services.authentication_service import Identity

SUBPROTOCOL = "chat.v1"
BEARER = "bearer."
FIRST_FRAME_DEADLINE_S = 5.0
"""How long an accepted socket may stay without signing in."""


def address_of(websocket: WebSocket) -> str:
    """Whom a socket counts for."""
    return counted_address(websocket.client.host if websocket.client else None)


def chosen_subprotocol(websocket: WebSocket) -> str | None:
    """What the server selects: ``chat.v1`` if it was offered, and never the entry that holds the token."""
    return SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None


async def sign_in(websocket: WebSocket, services: Services) -> Identity:
    """Who opened this accepted socket. Takes the first credential it finds.

    In this order: the subprotocol ``bearer.<token>``, the ``Authorization`` header, ``?ticket=``,
    ``?token=`` where it is allowed, and an ``auth`` frame as the first one. Raises ``AuthenticationFailed``,
    ``Forbidden`` for somebody who is banned, or ``Unavailable``.
    """
    identity = await _identity_of(websocket, services)
    await services.access.require(identity)
    return identity


async def _identity_of(websocket: WebSocket, services: Services) -> Identity:
    authentication = services.authentication
    if (token := _token_from_handshake(websocket)) is not None:
        return authentication.verify_token(token)
    if (ticket := websocket.query_params.get("ticket")) is not None:
        return await authentication.redeem_ticket(ticket)
    if (token := websocket.query_params.get("token")) is not None:
        if not services.settings.query_token_allowed:
            raise AuthenticationFailed("a token in the URL is not allowed here")
        return authentication.verify_token(token)
    with services.doors.waiting_room.place(address_of(websocket)):
        return authentication.verify_token(await _token_from_first_frame(websocket))


def _token_from_handshake(websocket: WebSocket) -> str | None:
    for offered in websocket.scope["subprotocols"]:
        if offered.startswith(BEARER):
            return str(offered.removeprefix(BEARER))
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _token_from_first_frame(websocket: WebSocket) -> str:
    try:
        async with asyncio.timeout(FIRST_FRAME_DEADLINE_S):
            frame = parse_client_frame(await websocket.receive_text())
    except TimeoutError as error:
        raise AuthenticationFailed(f"no auth frame within {FIRST_FRAME_DEADLINE_S:g} s") from error
    except (ChatError, KeyError) as error:  # KeyError: a binary frame
        raise AuthenticationFailed("the first frame must be an auth frame") from error
    except WebSocketDisconnect as error:
        raise AuthenticationFailed("left before signing in") from error
    if not isinstance(frame, AuthFrame):
        raise AuthenticationFailed("the first frame must be an auth frame")
    return frame.token
