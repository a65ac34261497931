"""Runs a learner's code in the cases of a check, in a thread of its own, and always comes to an end."""

import asyncio
import contextlib
import contextvars
import ctypes
import threading
import time
from typing import Any

from course.checks.case import TIMED_OUT, Case, Drive, Observation, deadline_of

GIVE_UP_AFTER = 3
"""Cases that may run into the deadline before the rest is left out: an endless wait would cost minutes."""
INTERRUPTS = 5


class StuckError(BaseException):
    """Thrown into code that never gives control back. Not an ``Exception``: a learner's handler would eat it."""


class _Progress:
    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.since = time.monotonic()

    def add(self, observation: Observation) -> None:
        self.observations.append(observation)
        self.since = time.monotonic()


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
            thread.join(0.1)
            if time.monotonic() - progress.since > 2 * deadline_of(drive):
                _interrupt(thread)
                interrupts += 1
                progress.since = time.monotonic()
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
            async with asyncio.timeout(deadline_of(drive)):
                observation = await drive(subject, case)
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
