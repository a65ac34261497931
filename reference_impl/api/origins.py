"""Which pages of other origins may call this server from a browser."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from reference_impl.settings import Settings

LOOPBACK_ORIGIN = r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?"
"""A page that another instance of this machine has served, or a notebook."""


def allow_pages_of_other_origins(app: FastAPI, settings: Settings) -> None:
    """Lets the page of one instance go on with another one: in demo mode, all instances of this machine.

    No cookies: who calls is said by the token alone, and a page has only those it was given.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=LOOPBACK_ORIGIN if settings.demo_login else None,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
