"""What operators and process managers ask an instance."""

from fastapi import APIRouter, Response

from reference_impl.api.deps import CurrentUser, ServicesDep
from reference_impl.api.schemas import DeviceResponse

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(services: ServicesDep, response: Response) -> dict[str, str]:
    """Whether to send users here: ``ready``; ``degraded`` while messages of other instances arrive late;
    ``draining``, with 503, once it is going away."""
    connections = services.connections
    if connections.is_draining:
        response.status_code = 503
        return {"status": "draining", "instance_id": connections.instance_id}
    live = connections.message_router.is_live
    return {
        "status": "ready" if live else "degraded",
        "broker": "live" if live else "away",
        "instance_id": connections.instance_id,
    }


@router.get("/api/v1/presence", tags=["chat"])
async def presence(user_ids: str, user: CurrentUser, services: ServicesDep) -> dict[str, bool]:
    """``user_id`` → online. Of ``user_ids``, separated by commas, only those the caller shares a conversation with."""
    named = [user_id for user_id in user_ids.split(",") if user_id]
    known = await services.conversations.acquaintances(user.user_id, named)
    online = await services.connections.presence_manager.online_users(known)
    return {user_id: user_id in online for user_id in known}


@router.get("/api/v1/devices", tags=["chat"])
async def devices(user: CurrentUser, services: ServicesDep) -> list[DeviceResponse]:
    """The caller's own devices that are connected, on any instance. A device without an id is one per connection."""
    leases = (await services.connections.presence_manager.leases([user.user_id])).get(user.user_id, [])
    found: dict[str, DeviceResponse] = {}
    for lease in leases:
        device = DeviceResponse(device_id=lease.device_id, device_type=lease.device_type, connections=0)
        found.setdefault(lease.device_id or lease.connection_id, device).connections += 1
    return list(found.values())
