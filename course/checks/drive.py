"""Runs a learner's code in the cases of a check, in a thread of its own, and always comes to an end.

Deadlines are counted in ticks of those who wait, not read off the clock: on a machine that is too busy to run anybody a
tick takes longer, too, and nobody's answer is called endless since it had no turn.
"""

import asyncio
import contextlib
import contextvars
import ctypes
import threading
from collections.abc import Awaitable
from typing import Any

from course.checks.case import TIMED_OUT, Case, Drive, Observation, deadline_of

GIVE_UP_AFTER = 3
"""Cases that may run into the deadline before the rest is left out: an endless wait would cost minutes."""
INTERRUPTS = 5
TICK_S = 0.05


class StuckError(BaseException):
    """Thrown into code that never gives control back. Not an ``Exception``: a learner's handler would eat it."""


class _Progress:
    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.ticks = 0
        """Since the last case ended, or was interrupted."""

    def add(self, observation: Observation) -> None:
        self.observations.append(observation)
        self.ticks = 0


def drive_in_thread(drive: Drive, subject: Any, cases: list[Case]) -> list[Observation]:
    """What ``subject`` does in each case. Works inside a notebook's running loop, since it has a loop of its own.

    A case that does not end in time is ``["timeout"]``. Raises ``RuntimeError`` when the code can not be stopped.
    """
    progress = _Progress()
    context = contextvars.copy_context()
    work = drive_all(drive, subject, cases, progress)
    thread = threading.Thread(target=context.run, args=(_run_to_end, work), daemon=True)
    thread.start()
    interrupts = 0
    try:
        while thread.is_alive() and interrupts < INTERRUPTS:
            thread.join(TICK_S)
            progress.ticks += 1
            if progress.ticks * TICK_S > 2 * deadline_of(drive):
                _interrupt(thread)
                interrupts += 1
                progress.ticks = 0
    except KeyboardInterrupt:
        _interrupt(thread)
        raise
    if thread.is_alive():
        raise RuntimeError("this code can not be stopped: restart the kernel")
    return progress.observations


def _run_to_end(work: Any) -> None:
    with contextlib.suppress(StuckError):  # it came when the last case had just ended
        asyncio.run(work)


def _interrupt(thread: threading.Thread) -> None:
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(StuckError))


async def _in_time(answer: Awaitable[Observation], deadline_s: float) -> Observation:
    """The answer. Raises ``TimeoutError`` when it has not come after so many seconds' worth of ticks."""
    task = asyncio.ensure_future(answer)
    try:
        for _ in range(round(deadline_s / TICK_S)):
            await asyncio.wait([task], timeout=TICK_S)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def drive_all(
    drive: Drive, subject: Any, cases: list[Case], progress: _Progress | None = None
) -> list[Observation]:
    """One case after the other."""
    progress = progress or _Progress()
    late = 0
    for case in cases:
        if late >= GIVE_UP_AFTER:
            break
        try:
            observation = await _in_time(drive(subject, case), deadline_of(drive))
        except TimeoutError:
            late += 1
            observation = TIMED_OUT
        except StuckError:
            late = GIVE_UP_AFTER
            observation = TIMED_OUT
        except Exception as error:  # noqa: BLE001 - whatever a learner's code raises outside of a step
            observation = ["raised", f"{type(error).__name__}: {error}".rstrip(": ")]
        progress.add(observation)
    return progress.observations
