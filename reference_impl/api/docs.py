"""The documentation of both doors, made from the models that serve them. It works offline."""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from reference_impl import __version__
from reference_impl.api.asyncapi import asyncapi_document
from reference_impl.api.deps import ServicesDep
from reference_impl.api.openapi import install_openapi

router = APIRouter(tags=["documentation"])

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere. Styles are Swagger UI's own: it sets some on its elements."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Breakwire chat: the HTTP side</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""

_ASSETS = files("fastapi_offline") / "static"
_FOREVER = {"Cache-Control": "public, max-age=86400"}


def describe(app: FastAPI, *, is_demo: bool) -> None:
    """Makes ``/openapi.json`` complete."""
    install_openapi(app, is_demo=is_demo)


@router.get("/asyncapi.json")
async def asyncapi(request: Request, services: ServicesDep) -> dict[str, Any]:
    """The WebSocket door as an AsyncAPI 3 document."""
    return asyncapi_document(
        host=request.url.netloc,
        is_secure=request.url.scheme == "https",
        version=__version__,
        query_token_allowed=services.settings.query_token_allowed,
        max_frame_bytes=services.settings.max_message_size,
    )


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The HTTP door, to read and to try."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


@router.get("/docs/start.js", include_in_schema=False)
async def docs_start() -> Response:
    """What the page runs. A file of its own: scripts inside a page are not allowed."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/swagger-ui-bundle.js", include_in_schema=False)
async def docs_script() -> FileResponse:
    """Swagger UI."""
    return FileResponse(str(_ASSETS / "swagger-ui-bundle.js"), media_type="text/javascript", headers=_FOREVER)


@router.get("/docs/swagger-ui.css", include_in_schema=False)
async def docs_style() -> FileResponse:
    """Swagger UI's style."""
    return FileResponse(str(_ASSETS / "swagger-ui.css"), media_type="text/css", headers=_FOREVER)
