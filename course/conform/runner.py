"""Runs the checks: one after the other, each with a deadline, and none that can not be tried."""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext

from course.conform.check import CHECKS, Broken, Check, NotTried, Verdict
from course.conform.world import Server, World

DEADLINE_IN_PATIENCES = 10
SLOW_DEADLINE_S = 300.0

LAST = "every-frame-has-its-form"
"""Looks back at all the others."""


async def run_checks(
    server: Server, tell: Callable[[Verdict], None], *, jobs: int = 1, only: tuple[str, ...] = ()
) -> list[Verdict]:
    """All verdicts, in the order of ``CHECKS``. ``tell`` hears each as it comes. ``only``: these, and what they need.

    With ``jobs`` several run at a time, for servers with room for it; those that only wait do so in any case.
    """
    chosen = chosen_checks(only)
    running: dict[str, asyncio.Task[Verdict]] = {}
    room = asyncio.Semaphore(jobs)

    async def one(check: Check) -> Verdict:
        before = running.values() if check.name == LAST else [running[name] for name in check.needs]
        earlier = [await task for task in tuple(before) if task is not asyncio.current_task()]
        async with nullcontext() if check.only_waits else room:
            verdict = await _verdict(server, check, [] if check.name == LAST else earlier)
        tell(verdict)
        return verdict

    for check in chosen:
        running[check.name] = asyncio.create_task(one(check))
    try:
        return [await task for task in running.values()]
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.wait(running.values())


def chosen_checks(only: tuple[str, ...]) -> list[Check]:
    """These and what they need, in the order of ``CHECKS``; all of them when none is named."""
    wanted = _with_needs(only)
    return [check for name, check in CHECKS.items() if not only or name in wanted]


def _with_needs(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += CHECKS[name].needs
    return found


async def _verdict(server: Server, check: Check, earlier: list[Verdict]) -> Verdict:
    if check.needs_two and len(server.urls) < 2:
        return Verdict(check, "skipped", "needs a second instance: --second-url")
    if check.is_slow and not server.is_slow_allowed:
        return Verdict(check, "skipped", "takes long: --slow")
    if missing := [one.check.name for one in earlier if one.outcome != "passed"]:
        return Verdict(check, "skipped", f"needs {', '.join(missing)}")
    began = time.monotonic()
    deadline = SLOW_DEADLINE_S if server.is_slow_allowed else server.patience_s * DEADLINE_IN_PATIENCES
    try:
        async with asyncio.timeout(deadline), World(server) as world:
            await check.run(world)
    except NotTried as reason:
        return Verdict(check, "skipped", str(reason), time.monotonic() - began)
    except Broken as broken:
        return Verdict(check, "failed", str(broken), time.monotonic() - began)
    except TimeoutError:
        return Verdict(check, "failed", f"it was not done after {deadline:g} s", time.monotonic() - began)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        saw = f"an answer had another form than promised: {error!r}"
        return Verdict(check, "failed", saw, time.monotonic() - began)
    return Verdict(check, "passed", seconds=time.monotonic() - began)
