"""What the routes need, handed to them by ``app.py``."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from reference_impl.core.delivery_confirmations import DeliveryConfirmations
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock
from reference_impl.core.trace import HopRecorder
from reference_impl.model.errors import AuthenticationFailed
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.authentication_service import AuthenticationService, Identity
from reference_impl.services.conversation_service import ConversationService
from reference_impl.services.message_service import MessageService
from reference_impl.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services behind the doors."""

    settings: Settings
    authentication: AuthenticationService
    conversations: ConversationService
    messages: MessageService
    activity: ActivityService
    connections: DistributedConnectionManager
    confirmations: DeliveryConfirmations
    event_bus: EventBus
    clock: Clock
    recorder: HopRecorder


def get_services(request: Request) -> Services:
    """The services of this app. There are no globals: two apps in one process share nothing."""
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(get_services)]

_bearer = HTTPBearer(auto_error=False, description="An access token from /api/v1/auth/token")


def get_current_user(
    services: ServicesDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    """Who asks. Raises ``AuthenticationFailed``."""
    if credentials is None:
        raise AuthenticationFailed("sign in: send an Authorization: Bearer header")
    return services.authentication.verify_token(credentials.credentials)


CurrentUser = Annotated[Identity, Depends(get_current_user)]
