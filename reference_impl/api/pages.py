"""The pages, and what the browser may do on them.

Static files, no build, nothing from elsewhere. The policy is strict: no inline script, no inline style, no other
origin. So text that somebody smuggles into a page stays text.
"""

import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from reference_impl.api.deps import Onlooker, ServicesDep
from reference_impl.api.schemas import PageConfig
from reference_impl.model.origins import parsed_origin
from reference_impl.settings import Settings

WEB = Path(__file__).resolve().parent.parent / "web"
LOOPBACK = "http://127.0.0.1:* http://localhost:*"
"""Notebooks: where they are shown has another port than we have."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")  # a policy has no way to write an IPv6 address

# The system's own table may say otherwise (Windows), and with ``nosniff`` a script that is called text does not run.
mimetypes.add_type("text/javascript", ".js")

router = APIRouter(tags=["pages"])


class Pages(StaticFiles):
    """The files in ``web/``. A browser asks each time and gets 304 while nothing has changed (ETag)."""

    def __init__(self) -> None:
        super().__init__(directory=WEB)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One file of ``/static``."""
        response = await self.get_response(self.get_path(scope), scope)
        await response(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with the headers that all of them have."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"  # keep it, but ask
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


pages = Pages()


async def page(name: str, request: Request, settings: Settings) -> Response:
    """The page in ``web/<name>``, under the policy."""
    response = await pages.get_response(name, request.scope)
    response.headers["Content-Security-Policy"] = content_security_policy(
        settings, request.headers.get("host", ""), request.app.state.peer_urls
    )
    return response


def content_security_policy(settings: Settings, host: str, peer_urls: Iterable[str] = ()) -> str:
    """What a page may load, talk to (us and the other instances), and be shown in.

    In demo mode a notebook of this machine may show it in a frame; so may the allowed origins. ``host`` is where the
    browser found us: older ones do not take ``'self'`` for the WebSocket of the same place.
    """
    sockets = [f"ws://{host}", f"wss://{host}"] if _HOST.fullmatch(host) else []
    peers = [url for peer in peer_urls for url in (peer, peer.replace("http", "ws", 1))]
    frames = [origin for origin in settings.allowed_origins if parsed_origin(origin)]
    if settings.demo_login:
        frames.append(LOOPBACK)
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(["connect-src 'self'", *sockets, *peers]),
            "base-uri 'none'",
            "form-action 'none'",
            " ".join(["frame-ancestors 'self'", *frames]),
        ]
    )


@router.get("/", include_in_schema=False)
async def chat_page(request: Request, services: ServicesDep) -> Response:
    """The chat page."""
    return await page("index.html", request, services.settings)


@router.get("/monitor", include_in_schema=False, dependencies=[Onlooker])
async def monitor_page(request: Request, services: ServicesDep) -> Response:
    """The monitor page. Outside demo mode for operators only."""
    return await page("monitor.html", request, services.settings)


@router.get("/api/v1/page-config")
async def page_config(request: Request, services: ServicesDep) -> PageConfig:
    """What the pages need to know before anybody has signed in."""
    return PageConfig(
        instance_id=services.settings.instance_id,
        demo_login=services.settings.demo_login,
        max_message_bytes=services.settings.max_message_size,
        peer_urls=request.app.state.peer_urls,
    )
