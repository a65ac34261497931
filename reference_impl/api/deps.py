"""What the routes need, handed to them by ``app.py``."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer

from reference_impl.api.doors import Doors
from reference_impl.core.delivery_confirmations import DeliveryConfirmations
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.instance_board import InstanceBoard
from reference_impl.core.ports import Clock
from reference_impl.core.trace import HopRecorder
from reference_impl.core.traffic import Traffic
from reference_impl.core.websocket_monitor import WebSocketMonitor
from reference_impl.model.errors import AuthenticationFailed, Forbidden
from reference_impl.services.access_service import AccessService
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.authentication_service import AuthenticationService, Identity
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.conversation_service import ConversationService
from reference_impl.services.message_service import MessageService
from reference_impl.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services behind the doors."""

    settings: Settings
    doors: Doors
    authentication: AuthenticationService
    access: AccessService
    conversations: ConversationService
    messages: MessageService
    activity: ActivityService
    broadcasting: BroadcastingService
    connections: DistributedConnectionManager
    confirmations: DeliveryConfirmations
    event_bus: EventBus
    clock: Clock
    recorder: HopRecorder
    traffic: Traffic
    monitor: WebSocketMonitor
    board: InstanceBoard


def get_services(request: Request) -> Services:
    """The services of this app. There are no globals: two apps in one process share nothing."""
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(get_services)]

_bearer = HTTPBearer(auto_error=False, description="An access token from /api/v1/auth/token")
_basic = HTTPBasic(auto_error=False, description="For a browser: any name, and an operator's token as the password")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Basic = Annotated[HTTPBasicCredentials | None, Depends(_basic)]


async def get_current_user(services: ServicesDep, credentials: Bearer) -> Identity:
    """Who asks. Raises ``AuthenticationFailed``, ``Forbidden`` for somebody who is banned, or ``Unavailable``."""
    if credentials is None:
        raise AuthenticationFailed("sign in: send an Authorization: Bearer header")
    identity = services.authentication.verify_token(credentials.credentials)
    await services.access.require(identity)
    return identity


CurrentUser = Annotated[Identity, Depends(get_current_user)]


def get_current_operator(user: CurrentUser) -> Identity:
    """An operator who acts. Raises ``AuthenticationFailed`` or ``Forbidden``; demo mode makes no difference."""
    if not user.is_operator:
        raise Forbidden("only an operator may do this")
    return user


CurrentOperator = Annotated[Identity, Depends(get_current_operator)]


async def require_onlooker(services: ServicesDep, bearer: Bearer, basic: Basic) -> None:
    """Whoever may look at the system as a whole: anybody in demo mode, else an operator. For routes that only read.

    A scraper sends its token as a bearer's. A browser asks for a name and a password, and takes a token as the
    password; it then sends it by itself to this site, which is why no route that changes anything may accept it.
    Raises ``Forbidden``, or an ``HTTPException`` that makes a browser ask.
    """
    if services.settings.demo_login:
        return
    token = bearer.credentials if bearer else basic.password if basic else ""
    try:
        identity = services.authentication.verify_token(token)
        await services.access.require(identity)
    except AuthenticationFailed as error:
        challenge = {"WWW-Authenticate": 'Basic realm="an operator\'s token as the password", charset="UTF-8"'}
        raise HTTPException(401, "only for operators: sign in with an operator's token", challenge) from error
    get_current_operator(identity)


Onlooker = Depends(require_onlooker)
"""``dependencies=[Onlooker]`` on a route or a router."""
