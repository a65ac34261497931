"""Exercise 9, driving: runs a learner's event bus, alone and inside the chat server, and decides nothing.

A case of the first three checks is a list of steps:

- ``["subscribe", type, name, kind, does]``, ``["subscribe_async", …]``: kinds and deeds are in ``handlers.py``
- ``["unsubscribe", type, name]``
- ``["publish", type, data]``
- ``["finish", name]``: a handler that waits goes on
- ``["collect"]``: a garbage collection
- ``["drain"]``: begins; ``["wait_for_drain"]``: until it has ended

An observation has ``[outcome, noted at once, noted later, drain, failures]`` a step. *At once* is before the
call returned, *later* is after some turns of the event loop. A ``publish`` that gives back something to await is
awaited beside.
"""

import asyncio
import gc
import inspect
from typing import Any

from course.checks.bus_in_server import drive_in_server
from course.checks.case import Case, Observation
from course.checks.handlers import Event, Stage

TURNS = 20
"""Turns of the event loop after each step: enough for any handler that waits for nothing."""


async def drive(subject: Any, case: Case) -> Observation:
    """Runs the steps on a fresh bus and writes down who has heard what."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a lost task complains there
    gc.freeze()  # a collection then looks only at what this case has made, and is quick
    try:
        return await _drive(subject, case)
    finally:
        gc.unfreeze()


async def _drive(subject: Any, case: Case) -> Observation:
    stage = Stage(subject())
    draining: asyncio.Task[Any] | None = None
    seen: Observation = []
    try:
        for step in case:
            stage.notes.clear()
            if step[0] == "drain":
                draining = asyncio.create_task(_drained(stage.bus))
            elif step[0] == "wait_for_drain" and draining is not None:
                await asyncio.wait([draining])
            outcome, at_once, later = await _take(stage, step)
            seen.append([outcome, at_once, later, _state_of(draining), stage.bus.failures])
    finally:
        await _tidy_up(stage, draining)
    return seen


async def _take(stage: Stage, step: list[Any]) -> tuple[list[Any], list[str], list[str]]:
    """What one call did, and what was noted before it returned and after."""
    stage.notes.clear()
    try:
        result = _call(stage, step)
    except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
        return _raised(error), list(stage.notes), []
    at_once, stage.notes[:] = list(stage.notes), []
    task = asyncio.ensure_future(result) if inspect.isawaitable(result) else None
    await _turns()
    if task is None:
        return ["returned", None], at_once, list(stage.notes)
    failed = task.done() and not task.cancelled() and task.exception()
    return _raised(failed) if failed else ["returned", "something to await"], at_once, list(stage.notes)


def _call(stage: Stage, step: list[Any]) -> Any:
    match step:
        case [("subscribe" | "subscribe_async") as how, event_type, name, kind, does]:
            stage.subscribe(event_type, name, kind, does, is_async=how == "subscribe_async")
        case ["unsubscribe", event_type, name]:
            stage.unsubscribe(event_type, name)
        case ["publish", event_type, data]:
            return stage.bus.publish(Event(event_type, data))
        case ["finish", name]:
            stage.finish(name)
        case ["collect"]:
            gc.collect()
    return None


def _raised(error: BaseException) -> list[Any]:
    return ["raised", type(error).__name__, str(error)]


async def _drained(bus: Any) -> None:
    await bus.drain()


def _state_of(draining: asyncio.Task[Any] | None) -> str:
    if draining is None or not draining.done():
        return "" if draining is None else "waits"
    error = None if draining.cancelled() else draining.exception()
    return f"raised {type(error).__name__}: {error}" if error is not None else "ended"


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _tidy_up(stage: Stage, draining: asyncio.Task[Any] | None) -> None:
    """Lets everybody go, so that no case leaves anything to the next."""
    stage.finish_all()
    await _turns()
    if draining is not None:
        draining.cancel()
        await asyncio.wait([draining], timeout=1)


DRIVERS = {"9.1": drive, "9.2": drive, "9.3": drive, "9.4": drive_in_server}
