"""What operators and process managers ask an instance."""

from typing import Any

from fastapi import APIRouter, Response
from msgspec import to_builtins

from reference_impl.api.deps import CurrentUser, Onlooker, ServicesDep
from reference_impl.api.schemas import DeviceResponse
from reference_impl.model.health import readiness

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "It is going away: send nobody here."}})
async def readyz(services: ServicesDep, response: Response) -> dict[str, Any]:
    """Whether to send users here, and how each part is that this instance leans on.

    ``status``: ``ready``; ``degraded``, while a part is not ok; ``draining``, with 503, once it is going away.
    """
    connections = services.connections
    parts = services.monitor.health()
    if connections.is_draining:
        response.status_code = 503
    return {
        "status": readiness(parts, is_draining=connections.is_draining),
        "instance_id": connections.instance_id,
        "components": {part.part: {"state": part.state.value, "detail": part.detail} for part in parts},
    }


@router.get("/api/v1/monitor", dependencies=[Onlooker])
async def monitor(services: ServicesDep) -> dict[str, Any]:
    """Every instance of the system, as of a second ago. Outside demo mode for operators only.

    ``status``: as in ``/readyz``; ``gone`` where nothing was heard of an instance for some seconds; ``unknown`` while
    this one can not hear of the others.
    """
    board = services.board
    return {
        "instance_id": services.connections.instance_id,
        "at": services.clock().timestamp(),
        "is_board_away": board.is_away,
        "instances": [to_builtins(figures) for figures in board.instances()],
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
