"""What operators ask, and the form of everything that was seen."""

from course.conform.check import EACH_ONCE, OPERATIONS, Broken, NotTried, check, require
from course.conform.frames import shown
from course.conform.world import World

SEE = "reference_impl/api/operations.py"


@check(OPERATIONS, see=SEE)
async def healthz_and_readyz(world: World) -> None:
    """`/healthz` and `/readyz` answer 200 on every instance, without a token."""
    for at in range(len(world.server.urls)):
        for path in ("/healthz", "/readyz"):
            answer = await world.http("GET", path, at=at)
            require(answer.status == 200, f"{path} answered {answer}")


@check(OPERATIONS, see="reference_impl/metrics.py")
async def metrics_for_prometheus(world: World) -> None:
    """`/metrics` speaks Prometheus' text format, and names no user."""
    await world.conversation("alice")
    answer = await world.http("GET", "/metrics")
    if answer.status in (401, 403):
        raise NotTried("they are for operators only here, which is right outside demo mode")
    require(answer.status == 200, f"it answered {answer}")
    require("# TYPE" in str(answer.body), f"it is no Prometheus text: {shown(answer.body)}")
    require((await world.user("alice")).id not in str(answer.body), "a user's id is in it")


@check(OPERATIONS, see="reference_impl/api/docs.py")
async def documented(world: World) -> None:
    """`/docs` and `/asyncapi.json` say how to speak to it; the latter is AsyncAPI 3."""
    docs = await world.http("GET", "/docs")
    require(docs.status == 200, f"/docs answered {docs}")
    asyncapi = await world.http("GET", "/asyncapi.json")
    version = asyncapi.body.get("asyncapi") if isinstance(asyncapi.body, dict) else None
    require(str(version).startswith("3."), f"/asyncapi.json answered {asyncapi}")


@check(EACH_ONCE, see="reference_impl/model/server_frames.py")
async def every_frame_has_its_form(world: World) -> None:
    """All frames of this run are `{action, data, conversation_id, timestamp}`, and their data has its fields."""
    if world.server.frames_seen == 0:
        raise NotTried("there came none")
    misfits = world.server.misfits
    if misfits:
        raise Broken(f"{len(misfits)} of {world.server.frames_seen} frames are not; the first is {misfits[0]}")
