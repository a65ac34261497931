"""What an operator has to say to everybody."""

from fastapi import APIRouter

from reference_impl.api.deps import CurrentOperator, ServicesDep
from reference_impl.api.schemas import AnnouncementRequest
from reference_impl.model.event_factories import create_system_notification
from reference_impl.model.events import Audience, Severity

router = APIRouter(prefix="/api/v1/announcements", tags=["operations"])


@router.post("", status_code=202)
async def announce(body: AnnouncementRequest, operator: CurrentOperator, services: ServicesDep) -> None:
    """Shows a text to everybody who is connected now, on every instance. It is not kept. For operators only."""
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
