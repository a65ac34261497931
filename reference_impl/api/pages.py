"""The pages, and what the browser may do on them.

Static files, no build, nothing from elsewhere. The policy is strict: no inline script, no inline style, no other
origin. So text that somebody smuggles into a page stays text.
"""

import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from reference_impl.api.deps import Onlooker, ServicesDep
from reference_impl.api.schemas import PageConfig
from reference_impl.settings import Settings

WEB = Path(__file__).resolve().parent.parent / "web"
LOOPBACK = "http://127.0.0.1:* http://localhost:*"
LOOPBACK_SOCKETS = "ws://127.0.0.1:* ws://localhost:*"
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

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
    response.headers["Content-Security-Policy"] = content_security_policy(settings, request.headers.get("host", ""))
    return response


def content_security_policy(settings: Settings, host: str) -> str:
    """What a page may load, talk to, and be shown in.

    In demo mode all of this machine's ports: the other instances, and a notebook that shows the page in a frame.
    ``host`` is where the browser found us: older ones do not take ``'self'`` for the WebSocket of the same place.
    """
    own_socket = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    others = f" {LOOPBACK} {LOOPBACK_SOCKETS}" if settings.demo_login else ""
    ancestors = f"'self' {LOOPBACK}" if settings.demo_login else "'self'"
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self'{own_socket}{others}",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {ancestors}",
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
        peer_urls=request.app.state.peer_urls,
    )
