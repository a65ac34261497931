"""The learner's server, running in the sandbox: started, reached, ended, and nothing left of it."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import httpx2

from course.capstone.tunnel import OuterEnd
from course.errors import UserError
from course.grader.names import Ended
from course.grader.process import (
    STOP_DEADLINE_S,
    Limits,
    base_environment,
    isolation,
    line_of,
    read_tail,
    sandbox_order,
    send,
    stop,
)
from course.grader.run import NotRun
from course.grader.submission import Status
from course.manifest import ROOT

FILE = "chat_server.py"
LONGEST_START_S = 30.0
LOOK_EVERY_S = 0.05
HIDDEN = ("reference_impl",)
"""Beside what no submission sees: a server that imports the reference is nobody's own."""


class Stopped(NamedTuple):
    """Why a server could not be asked any more."""

    status: Status
    says: str


class SandboxedServer:
    """Instances of one ``chat_server.py``: ``async with SandboxedServer(source, 2, limits) as server: server.urls``."""

    def __init__(self, source: str, instances: int, limits: Limits) -> None:
        self._source, self._instances, self._limits = source, instances, limits
        self._stack = AsyncExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._tunnel: OuterEnd | None = None
        self._tail = bytearray()

    @property
    def urls(self) -> list[str]:
        """Where the instances are."""
        return self._tunnel.urls if self._tunnel is not None else []

    async def __aenter__(self) -> Self:
        if not hasattr(os, "fork"):
            raise UserError("checking a server needs Linux or macOS; on Windows use WSL")
        try:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="breakwire-door-")))
            with socket.socket(socket.AF_UNIX) as door:
                door.bind(str(folder / "door"))
                door.listen(128)
                await asyncio.to_thread(isolation)  # looked at once, and not on the event loop
                self._start(door.fileno())
            self._tunnel = await self._stack.enter_async_context(OuterEnd(folder / "door", self._instances))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start_up(self) -> Stopped | None:
        """Returns when all instances answer, whatever they say; or why they do not."""
        end = time.monotonic() + min(LONGEST_START_S, self._limits.wall_clock_s / 2)
        async with httpx2.AsyncClient(trust_env=False) as client:
            for url in self.urls:
                while True:
                    if (stopped := self.stopped()) is not None:
                        return stopped
                    if (left := end - time.monotonic()) <= 0:
                        return Stopped(
                            "timeout", f"it answers nothing on its port, {self._waited():g} s after its start"
                        )
                    with suppress(httpx2.HTTPError):
                        await client.get(f"{url}/healthz", timeout=left)
                        break
                    await asyncio.sleep(LOOK_EVERY_S)
        return None

    def _waited(self) -> float:
        return min(LONGEST_START_S, self._limits.wall_clock_s / 2)

    def stopped(self) -> Stopped | None:
        """Why it has ended; None while it runs. Raises ``NotRun`` where the machine can not run it at all."""
        if self._tunnel is not None and self._tunnel.is_flooded:
            return Stopped("crashed", "it sent more than can be read: is there a loop that never stops sending?")
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return None
        if code == Ended.NOT_POSSIBLE:
            raise NotRun(self._last_words())
        if code == Ended.OUT_OF_MEMORY:
            return Stopped("crashed", "it used more memory than there is for one server")
        if code == Ended.TOO_MANY_PROCESSES:
            return Stopped("crashed", "it started more processes than one server may have")
        return Stopped("crashed", f"the server ended by itself: {self._last_words()}")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "without a word; look for exit() or kill()"

    def _start(self, door: int) -> None:
        command = [sys.executable, "-m", "course.capstone.host", str(door), str(self._instances)]
        order = sandbox_order(command, base_environment(), {FILE: self._source}, door)
        order["hidden"] += [*(str(ROOT / name) for name in HIDDEN), *self._limits.hidden]
        order["isolated"] = not isolation()
        process = subprocess.Popen(
            [sys.executable, "-m", "course.grader.sandbox"],
            cwd=ROOT, pass_fds=[door], process_group=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        reader = threading.Thread(target=read_tail, args=(process, self._tail), daemon=True)

        def end() -> None:
            stop(process)
            reader.join(STOP_DEADLINE_S)
            if process.stdout is not None and not reader.is_alive():
                process.stdout.close()

        self._stack.push_async_callback(asyncio.to_thread, end)
        self._process = process
        reader.start()
        send(process, line_of(order))
