"""One child process of the lab, seen from the owner: started, asked, stopped."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Self

import msgspec

from course.errors import UserError
from course.workbench.forks import LONGEST_LINE, ROOT, ForkedProcess, SharedForkServer
from course.workbench.job import Job

START_DEADLINE_S = 20.0
ANSWER_DEADLINE_S = 5.0


class InstanceProcess:
    """A server process that can not outlive us: it watches the pipe that we hold.

    With ``forks`` it is a fork of that server, else a program that starts from nothing.
    """

    def __init__(
        self, name: str, job: Job, environment: dict[str, str], log: Path, forks: SharedForkServer | None = None
    ) -> None:
        self.name = name
        self.instance_id = environment.get("CHAT_INSTANCE_ID", name)
        self.job = job
        job.environment, job.folder = environment, str(log.parent)
        self.port = job.port
        self.log = log
        self._environment = environment
        self._forks = forks
        self._process: Process | ForkedProcess | None = None
        self._stdin: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listener: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self) -> Self:
        """Returns when it serves. Raises ``UserError`` with what it said."""
        self._process = await self._launch()
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a process with pipes has both")
        self._stdin = stdin
        stdin.write(msgspec.json.encode(self.job) + b"\n")
        try:
            answer = await self._first_answer(self._process, stdout)
        except UserError:
            await self._ended()
            raise
        self.port = self.job.port = int(answer["port"])  # a restart takes the same one
        self._listener = asyncio.create_task(self._listen(stdout), name=f"answers of {self.name}")
        return self

    async def meet(self, peer_urls: list[str]) -> None:
        """Tells the instance where the others are, now and at each later start. Raises ``UserError``."""
        self.job.peer_urls = peer_urls
        await self.ask("meet", peer_urls=peer_urls)

    async def ask(self, what: str, **more: Any) -> dict[str, Any]:
        """One question over the pipe; its answer. Raises ``UserError`` when the instance does not answer."""
        if not self.is_running or self._stdin is None:
            raise UserError(f"{self.name} is not running; restart it first")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._stdin.write(msgspec.json.encode({"id": number, "do": what, **more}) + b"\n")
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                snapshot = await answer
        except TimeoutError:
            raise UserError(f"{self.name} does not answer; is it paused?") from None
        finally:
            self._answers.pop(number, None)
        return snapshot

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to say goodbye."""
        if self.is_running and self._process is not None:
            self._process.kill()
        await self._ended()

    async def drain(self, timeout: float) -> int:
        """SIGTERM, and the exit code. Kills it when it takes longer than ``timeout`` seconds."""
        if self.is_running and self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(timeout):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._ended()
        return self.returncode if self.returncode is not None else 1

    async def stop(self) -> None:
        """Closes the pipe: the quick end. Idempotent."""
        if self._stdin is not None and self.is_running:
            self._stdin.close()
        await self._ended()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    async def _launch(self) -> Process | ForkedProcess:
        if self._forks is not None:
            try:
                async with asyncio.timeout(START_DEADLINE_S):
                    return await self._forks.fork(self._environment, self.log)
            except (OSError, TimeoutError) as error:
                raise UserError(f"{self.name} did not start: {error}") from error
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "course.workbench.instance",
                stdin=PIPE, stdout=PIPE, stderr=log, env=self._environment, cwd=self.log.parent, limit=LONGEST_LINE,
            )  # fmt: skip

    async def _first_answer(self, process: Process | ForkedProcess, stdout: asyncio.StreamReader) -> dict[str, Any]:
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                line = await stdout.readline()
        except TimeoutError:
            process.kill()
            line = b""
        except ConnectionError:  # reset, or a broken pipe: it has ended before it read what it should run
            line = b""
        if not line:
            await process.wait()
            raise UserError(f"{self.name} did not start; its log ends:\n{self.log_tail()}")
        answer = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in answer:
            raise UserError(f"{self.name} did not start: {answer['error']}")
        return answer

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):  # it has ended before it read a question
            async for line in stdout:
                answer = msgspec.json.decode(line)
                waiting = self._answers.get(answer.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer["snapshot"])

    async def _ended(self) -> None:
        if self._process is None:
            return
        await self._process.wait()
        if self._stdin is not None:
            self._stdin.close()
        if self._listener is not None:
            await asyncio.wait([self._listener])
            self._listener = None


def child_environment(settings: dict[str, str]) -> dict[str, str]:
    """Our environment without anybody's ``CHAT_`` settings, and with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    python_path = os.pathsep.join(part for part in (str(ROOT), inherited.get("PYTHONPATH")) if part)
    return inherited | settings | {"PYTHONPATH": python_path}
