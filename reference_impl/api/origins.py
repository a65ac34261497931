"""Pages of other origins: those that are allowed may use both doors, all others neither."""

import logging

from fastapi.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_impl.api.errors import early_answer
from reference_impl.model.errors import Forbidden

logger = logging.getLogger(__name__)


def require_allowed_origin(connection: HTTPConnection) -> None:
    """Raises ``Forbidden`` for a page that may not use this server."""
    origins = connection.headers.getlist("origin")
    state = connection.app.state
    if not state.services.doors.origins.allows(origins, _own_origin(connection), state.peer_urls):
        logger.info(
            "refused a page of %.200r; ours is %.200r, others need CHAT_ALLOWED_ORIGINS (behind a proxy "
            "CHAT_TRUSTED_PROXIES)", origins[0], _own_origin(connection),
        )  # fmt: skip
        raise Forbidden("pages of this origin may not use this server")


class OriginMiddleware:
    """Answers requests of pages that are not allowed, and tells a browser that the others are.

    No cookies: who calls is said by the token alone, and a page has only those it was given. The WebSocket door asks
    by itself, since only after its handshake can a reason reach the client.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._for_pages = CORSMiddleware(
            app,
            allow_origin_regex=".*",  # who comes so far is allowed
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            require_allowed_origin(HTTPConnection(scope))
        except Forbidden as error:
            await early_answer(error, scope)(scope, receive, send)
            return
        await self._for_pages(scope, receive, send)


def _own_origin(connection: HTTPConnection) -> str:
    scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
    return f"{scheme}://{connection.headers.get('host', '')}"
