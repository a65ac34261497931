"""Asks a learner's server what ``course conform`` asks, level by level, and gives points."""

import ast
import asyncio
import re
from collections.abc import Callable
from typing import NamedTuple

from course.capstone.server import SandboxedServer, Stopped
from course.capstone.starter import starter
from course.conform import checks as _all_checks  # noqa: F401 - importing them lists them
from course.conform.check import CHECKS, Verdict
from course.conform.runner import run_checks
from course.conform.world import Server, look_around
from course.errors import UserError
from course.grader import process
from course.grader.process import Limits
from course.grader.run import Result
from course.grader.submission import Unreadable
from course.manifest import LevelInfo, load

PATIENCE_S = 5.0
JOBS = 4
LOOK_EVERY_S = 0.1
SHOWN_CHARACTERS = 300
OURS = re.compile(r"(reference_impl|course)(\.\w+)*")
"""Names of our own modules. Words in comments and texts are free: a learner may say where an idea is from."""

Tell = Callable[[Verdict], None]


class Asked(NamedTuple):
    """What came out of one start of the server. ``stopped``: why some checks have no verdict."""

    verdicts: dict[str, Verdict]
    stopped: Stopped | None


def source_of(content: bytes) -> str:
    """The text of a ``chat_server.py``. Raises ``Unreadable`` where there is nothing to run."""
    try:
        source = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Unreadable("crashed", "the file is no Python source: it is not even text") from None
    if not source.strip():
        raise Unreadable("missing", "the file is empty")
    if source.strip() == starter().strip():
        raise Unreadable("missing", "not started yet")
    if (line := _line_that_is_ours(source)) is not None:
        raise Unreadable("tampered", f"line {line} takes the course's own code: the capstone is a server of your own")
    return source


def _line_that_is_ours(source: str) -> int | None:
    """Where a module of ours is imported or named like a module; None where none is, and in what is no Python."""
    try:
        found = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in found:
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(name), level=0):
                names = [name]
            case ast.Constant(value=str(text)) if text.startswith("reference_impl"):
                names = [text]
            case _:
                continue
        if any(OURS.fullmatch(name) for name in names):
            return int(node.lineno)
    return None


def judge(source: str, levels: list[LevelInfo], limits: Limits, tell: Tell = lambda _: None) -> list[Result]:
    """The results of these levels, in order. ``tell`` hears each verdict as it comes.

    Raises ``process.Stopped``, and ``UserError`` where no server can be started at all.
    """
    asked: dict[int, Asked] = {}
    for instances in sorted({level.instances for level in levels}):
        if dead := next((one for one in asked.values() if one.stopped is not None and not one.verdicts), None):
            asked[instances] = dead  # what did not start once will not start twice
            continue
        names = tuple(name for level in levels if level.instances == instances for name in level.checks)
        asked[instances] = asyncio.run(_ask(source, instances, names, limits, tell))
    return [_result(level, asked[level.instances]) for level in levels]


async def _ask(source: str, instances: int, names: tuple[str, ...], limits: Limits, tell: Tell) -> Asked:
    verdicts: dict[str, Verdict] = {}

    def note(verdict: Verdict) -> None:
        verdicts[verdict.check.name] = verdict
        tell(verdict)

    async with SandboxedServer(source, instances, limits) as server:
        asking = asyncio.create_task(_check_all(server, names, note))
        try:
            async with asyncio.timeout(limits.wall_clock_s):
                while not asking.done() and (stopped := server.stopped()) is None:
                    if limits.stop is not None and limits.stop.is_set():
                        raise process.Stopped
                    await asyncio.wait([asking], timeout=LOOK_EVERY_S)
            if asking.done():
                stopped = asking.result() or server.stopped()
        except TimeoutError:
            stopped = Stopped("timeout", f"not done after {limits.wall_clock_s:g} s")
        finally:
            asking.cancel()
            await asyncio.wait([asking])
        return Asked(verdicts, stopped)


async def _check_all(server: SandboxedServer, names: tuple[str, ...], note: Tell) -> Stopped | None:
    if (stopped := await server.start_up()) is not None:
        return stopped
    asked = Server(server.urls, PATIENCE_S)
    try:
        await look_around(asked)
    except UserError as error:
        if (stopped := server.stopped()) is not None:
            return stopped
        says = error.message
        for number, url in enumerate(server.urls):  # a port of the tunnel tells nobody anything
            says = says.replace(url, f"instance {number}" if len(server.urls) > 1 else "your server")
        return Stopped("failed", says)
    await run_checks(asked, note, jobs=JOBS, only=names)
    return None


def _result(level: LevelInfo, asked: Asked) -> Result:
    """Points for each check that has passed; the message is about the first that has not."""
    check = next(one for one in load().capstone.as_chapter().checks if one.id == level.id)
    outcomes = [asked.verdicts.get(name) for name in level.checks]
    passed = sum(one is not None and one.outcome == "passed" for one in outcomes)
    if passed == len(level.checks):
        return Result(check, level.points, "passed")
    points = level.points * passed // len(level.checks)
    failed = next((one for one in outcomes if one is not None and one.outcome == "failed"), None)
    if failed is None and asked.stopped is not None:
        says = f"{_so_far(passed, level)}{asked.stopped.says}"
        return Result(check, points, asked.stopped.status, _cut(says))
    first = failed or next(one for one in outcomes if one is not None and one.outcome != "passed")
    others = [one.check.name for one in outcomes if one is not None and one.outcome == "failed" and one is not first]
    also = f" Also failed: {', '.join(others)}." if others else ""
    return Result(check, points, "failed", f"{_so_far(passed, level)}{_told(first)}{also}")


def _so_far(passed: int, level: LevelInfo) -> str:
    return f"{passed} of {len(level.checks)} checks; "


def _told(verdict: Verdict) -> str:
    check, saw = verdict.check, _cut(verdict.saw)
    if verdict.outcome == "skipped":
        return f"{check.name}: {check.says} Not tried: {saw}."
    return f"{check.name}: {check.says} Seen: {saw}. Ours is in {check.see}."


def _cut(text: str) -> str:
    """What came from a learner's server may have any length."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


__all__ = ["CHECKS", "judge", "source_of"]
