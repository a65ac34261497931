"""A learner's own small server, in a real process."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette

from course.workbench import carry
from course.workbench.forks import FORKS, can_fork
from course.workbench.guarded import GuardedFolder
from course.workbench.job import Job
from course.workbench.process import InstanceProcess, child_environment


class ToyServer:
    """Runs an app that was made in a notebook cell: ``async with ToyServer(make_app) as toy: toy.url``.

    ``make_app`` is a function that returns an ASGI app, or a FastAPI app itself. It travels to a uvicorn process
    of its own, and that process ends with the block, or with the kernel. ``usual_logs``: it logs what uvicorn logs
    by itself.
    """

    def __init__(self, make_app: Callable[[], Any] | Starlette, *, usual_logs: bool = False) -> None:
        self._make_app = make_app
        self._usual_logs = usual_logs
        self._forks = FORKS if can_fork() else None
        self._folder: GuardedFolder | None = None
        self._process: InstanceProcess | None = None

    async def __aenter__(self) -> Self:
        self._folder = GuardedFolder("breakwire-toy-")
        folder = self._folder.path
        environment = child_environment({})
        if self._forks is not None:
            self._forks.join(environment)
        try:
            app_file = carry.write(self._make_app, folder / "app.pickle")
            job = Job(host="127.0.0.1", port=0, app_file=app_file, usual_logs=self._usual_logs)
            self._process = InstanceProcess("the toy server", job, environment, folder / "toy.log", self._forks)
            await self._process.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ends the process. Idempotent."""
        if self._process is not None:
            await self._process.stop()
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(folder.remove)
            if self._forks is not None:
                await asyncio.to_thread(self._forks.leave)

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to clean up."""
        if self._process is not None:
            await self._process.kill()

    async def restart(self) -> None:
        """A new process on the same port, with nothing in its memory; the old one is killed."""
        if self._process is not None:
            await self._process.kill()
            await self._process.start()

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process else None

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self._process.port if self._process else 0}"

    @property
    def ws_url(self) -> str:
        """Its WebSocket address."""
        return self.url.replace("http", "ws", 1)

    def log(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return self._process.log_tail(lines) if self._process else ""
