"""Sign-in over HTTP."""

from fastapi import APIRouter

from reference_impl.api.deps import CurrentUser, ServicesDep
from reference_impl.api.schemas import TicketResponse, TokenRequest, TokenResponse

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])
demo_router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@demo_router.post("/token")
async def demo_sign_in(body: TokenRequest, services: ServicesDep) -> TokenResponse:
    """A token for any user that is named. Exists in demo mode only: see ``app.py``."""
    token, identity = services.authentication.issue_token(body.user_id, body.display_name)
    await services.access.require(identity)
    await services.conversations.sign_in(identity)
    return TokenResponse(access_token=token, expires_at=identity.expires_at)


@router.post("/ticket")
async def issue_ticket(user: CurrentUser, services: ServicesDep) -> TicketResponse:
    """A single-use ticket to open a WebSocket from a browser, which can not set headers."""
    ticket, expires_in = await services.authentication.issue_ticket(user)
    return TicketResponse(ticket=ticket, expires_in=expires_in)


@router.post("/logout", status_code=204)
async def log_out(user: CurrentUser, services: ServicesDep) -> None:
    """Ends this token: for requests, for tickets made with it, and for the live sockets it opened, on all instances."""
    await services.access.sign_out(user)
