"""What operators do."""

from datetime import datetime

from fastapi import APIRouter

from reference_impl.api.deps import CurrentOperator, ServicesDep
from reference_impl.api.schemas import AnnouncementRequest, NoticeRequest, NoticeResponse, UserIdInPath
from reference_impl.model.conversations import validated_user_id
from reference_impl.model.event_factories import create_system_notification
from reference_impl.model.events import Audience, Severity
from reference_impl.model.notification_content import BODY_CHARACTERS, NotificationData, shortened
from reference_impl.model.server_frames import SystemNotificationData
from reference_impl.services.broadcasting_service import Reached

router = APIRouter(prefix="/api/v1/operator", tags=["operators"])


@router.post("/announcements", status_code=202)
async def announce(body: AnnouncementRequest, operator: CurrentOperator, services: ServicesDep) -> None:
    """Shows a text to everybody who is connected now, on every instance. It is not kept."""
    await services.event_bus.publish_async(
        create_system_notification(
            "announcement",
            body.text,
            source="operator",
            timestamp=services.clock(),
            audience=Audience.EVERYBODY,
            severity=Severity(body.level),
            user_id=operator.user_id,
        )
    )


@router.post("/users/{user_id}/notices", status_code=202)
async def notify(
    user_id: UserIdInPath, body: NoticeRequest, _operator: CurrentOperator, services: ServicesDep
) -> NoticeResponse:
    """Tells one user something: on their devices, else by a push. It is not kept."""
    data = SystemNotificationData(level=body.level, code="notice", text=body.text)
    push = NotificationData(title="Notice", body=shortened(body.text, BODY_CHARACTERS), conversation_id="")
    reached = await services.broadcasting.send_direct_message(
        validated_user_id(user_id), data, push, device_type=body.device_type
    )
    return NoticeResponse(reached="socket" if reached is Reached.BY_SOCKET else "push")


@router.get("/bans")
async def list_bans(_operator: CurrentOperator, services: ServicesDep) -> dict[str, datetime]:
    """``user_id`` → since when they are banned."""
    return await services.access.banned_users()


@router.post("/bans/{user_id}", status_code=204)
async def ban(user_id: UserIdInPath, operator: CurrentOperator, services: ServicesDep) -> None:
    """Keeps a user out, with every token they have or get. Live sockets end on all instances, with 4003."""
    await services.access.ban(user_id, by=operator.user_id)


@router.delete("/bans/{user_id}", status_code=204)
async def unban(user_id: UserIdInPath, operator: CurrentOperator, services: ServicesDep) -> None:
    """Lets a user in again."""
    await services.access.unban(user_id, by=operator.user_id)
