"""What operators do."""

from datetime import datetime

from fastapi import APIRouter

from reference_impl.api.deps import CurrentOperator, ServicesDep

router = APIRouter(prefix="/api/v1/operator", tags=["operators"])


@router.get("/bans")
async def list_bans(_operator: CurrentOperator, services: ServicesDep) -> dict[str, datetime]:
    """``user_id`` → since when they are banned."""
    return await services.access.banned_users()


@router.post("/bans/{user_id}", status_code=204)
async def ban(user_id: str, operator: CurrentOperator, services: ServicesDep) -> None:
    """Keeps a user out, with every token they have or get. Live sockets end on all instances, with 4003."""
    await services.access.ban(user_id, by=operator.user_id)


@router.delete("/bans/{user_id}", status_code=204)
async def unban(user_id: str, operator: CurrentOperator, services: ServicesDep) -> None:
    """Lets a user in again."""
    await services.access.unban(user_id, by=operator.user_id)
