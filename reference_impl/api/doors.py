"""What stands at both doors before anybody is asked who they are."""

from typing import NamedTuple, Self

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from reference_impl.api.errors import install_error_handlers
from reference_impl.api.guards import AnswerHeadersMiddleware, BodyMiddleware
from reference_impl.api.origins import OriginMiddleware
from reference_impl.api.requests import RequestMiddleware
from reference_impl.core.socket_bounds import SocketBounds
from reference_impl.core.traffic import Traffic
from reference_impl.core.waiting_room import MIN_WAITING, WaitingRoom
from reference_impl.model.origins import OriginPolicy
from reference_impl.settings import Settings

BODY_FRAMES = 4
"""How many times the largest message a request's body may be: JSON may write a character as six."""


class Doors(NamedTuple):
    """The guards of one instance, with what they count."""

    origins: OriginPolicy
    waiting_room: WaitingRoom
    sockets: SocketBounds

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings want them."""
        return cls(
            origins=OriginPolicy(settings.allowed_origins),
            waiting_room=WaitingRoom(
                most=max(MIN_WAITING, settings.max_connections_per_instance // 4),
                most_per_address=settings.max_connections_per_ip,
            ),
            sockets=SocketBounds(
                max_connections=settings.max_connections_per_instance,
                max_per_address=settings.max_connections_per_ip,
                trusted_proxies=settings.trusted_proxies,
            ),
        )


def add_middleware(app: FastAPI, settings: Settings, traffic: Traffic) -> None:
    """What a request passes on its way in. The last one added sees it first."""
    app.add_middleware(BodyMiddleware, max_bytes=BODY_FRAMES * settings.max_message_size)
    app.add_middleware(OriginMiddleware)
    install_error_handlers(app, traffic)
    app.add_middleware(RequestMiddleware, traffic=traffic)
    app.add_middleware(AnswerHeadersMiddleware)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
