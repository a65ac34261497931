"""Exercise 12, driving: gives requests to a learner's desk in a world that fails as planned; decides nothing.

A case begins with ``["pauses", seconds, …]``. Then come requests, ``["post", user, conversation, text, name]`` and
faults like ``"commit: busy"``: the next call of that name fails in that way.

An observation has an entry a step; for a request that is a dict with everything that could be seen: ``outcome``,
``replies``, ``alerts``, ``calls`` in their order, and after it ``stored``, ``outbox`` and whether a transaction is
``open``.
"""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from course.checks.case import Case, Observation
from course.checks.faulty_parts import EXCEPTIONS, World


async def drive(subject: Any, case: Case) -> Observation:
    """Gives the requests to one desk, one after the other."""
    world = World()
    (_, *pauses), *posts = case
    desk = subject(
        store=SimpleNamespace(begin=world.begin, **{one.__name__: one for one in EXCEPTIONS}),
        bus=SimpleNamespace(publish=world.publish),
        sleep=world.sleep,
        alert=world.alert,
        pauses=tuple(pauses),
    )
    seen: Observation = [None]
    for _, user, conversation, text, name, *faults in posts:
        world.start(faults)
        outcome = await _outcome(desk.post(user, conversation, text, name, world.reply))
        seen.append(json.loads(json.dumps({"outcome": outcome, **_state(world)}, default=repr)))
    return seen


async def _outcome(request: Any) -> list[Any]:
    """``outcome_of``, for a request that may be cancelled: by the plan, and not by the deadline."""
    task = asyncio.ensure_future(request)
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
    if task.cancelled():
        return ["cancelled"]
    error = task.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return ["returned"] if error is None else ["raised", type(error).__name__, str(error)]


def _state(world: World) -> dict[str, Any]:
    return {
        "replies": world.replies,
        "alerts": [str(text) for text in world.alerts],
        "calls": world.calls,
        "stored": [[*name, *what] for name, what in world.stored.items()],
        "outbox": world.outbox,
        "open": world.open is not None,
    }


DRIVERS = {"12.1": drive, "12.2": drive, "12.3": drive}
