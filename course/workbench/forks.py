"""Starts instances as forks of one process that has imported the server already: see ``fork_server.py``.

That needs ``fork`` and Linux. Elsewhere each instance is a program of its own, as it is in `course serve` everywhere.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MODULE = "course.workbench.instance"
ROOT = Path(__file__).resolve().parents[2]
STOP_DEADLINE_S = 5.0
LONGEST_LINE = 64 * 1024 * 1024


class ForkedProcess:
    """A child of our fork server, seen through what we use of an ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int, news: socket.socket, stdout: asyncio.StreamReader, stdin: asyncio.StreamWriter):
        self.pid = pid
        self.stdout = stdout
        self.stdin = stdin
        self.returncode: int | None = None
        self._end = asyncio.create_task(self._wait_for(news), name=f"end of process {pid}")

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        """Sends it, if the process has not ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def _wait_for(self, news: socket.socket) -> int:
        with news:
            try:
                self.returncode = await _read(news)
            except ConnectionError:
                self.returncode = -signal.SIGKILL  # the fork server was killed, and so was its child
        return self.returncode


class ForkServer:
    """One such process, and our end of the socket to it. It ends when we do, however that is."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._depends_on = _what_an_import_depends_on(environment)
        self._socket, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "course.workbench.fork_server", MODULE],
                stdin=its_end.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", env=environment,
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether it runs and has imported what a new process would import."""
        return self.is_running and self._depends_on == _what_an_import_depends_on(environment)

    async def fork(self, log: Path) -> ForkedProcess:
        """A new child; it may have to wait for the import. Raises ``OSError``."""
        link, its_link = socket.socketpair()
        news, its_news = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        news.setblocking(False)
        try:
            with its_link, its_news, log.open("ab") as its_log:
                socket.send_fds(self._socket, [b"+"], [its_link.fileno(), its_log.fileno(), its_news.fileno()])
            pid = await _read(news)
            stdout, stdin = await asyncio.open_unix_connection(sock=link, limit=LONGEST_LINE)
        except BaseException:
            link.close()
            news.close()
            raise
        return ForkedProcess(pid, news, stdout, stdin)

    def retire(self) -> None:
        """It gets no more orders, and ends after its last child."""
        self._socket.close()

    def wait(self) -> None:
        """Until it has ended; kills it when that takes too long."""
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class SharedForkServer:
    """The fork server of this process: there while somebody uses it, or to the end where the next lab is sure to come:
    in a notebook, and where somebody keeps it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._server: ForkServer | None = None
        self._retired: list[ForkServer] = []
        self._is_kept = False

    def join(self, environment: dict[str, str]) -> None:
        """One more user. The first one starts the process, which then imports while others do something else."""
        self._users += 1
        self._fitting(environment)

    async def fork(self, environment: dict[str, str], log: Path) -> ForkedProcess:
        """A new child that writes to ``log``. Raises ``OSError``."""
        return await self._fitting(environment).fork(log)

    def leave(self) -> None:
        """One user less. Returns after the last one when the process has ended."""
        self._users -= 1
        if not (self._users or self._is_kept or _is_in_notebook()):
            self._end()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """In this block it stays once it is there, also while nobody uses it."""
        self._is_kept = True
        try:
            yield
        finally:
            self._is_kept = False
            if not self._users:
                self._end()

    def _end(self) -> None:
        with self._lock:
            ending = [*self._retired, *filter(None, [self._server])]
            self._server, self._retired = None, []
        for server in ending:
            server.retire()
            server.wait()

    def _fitting(self, environment: dict[str, str]) -> ForkServer:
        """Who edits the server and starts a new lab expects to see the difference."""
        with self._lock:
            if self._server is not None and not self._server.fits(environment):
                self._server.retire()
                self._retired = [old for old in (*self._retired, self._server) if old.is_running]
                self._server = None
            if self._server is None:
                self._server = ForkServer(environment)
            return self._server


FORKS = SharedForkServer()


@cache
def can_fork() -> bool:
    """Whether this system has all that it takes."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or one that only resembles Linux
        return False
    return True


async def _read(news: socket.socket) -> int:
    """The next number. Raises ``ConnectionError``."""
    number = await asyncio.get_running_loop().sock_recv(news, 16)
    if not number:
        raise ConnectionError("the process that starts instances has ended")
    return int(number)


def _what_an_import_depends_on(environment: dict[str, str]) -> tuple[dict[str, str], int]:
    """Python's own variables, and when a source was last changed."""
    variables = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    sources = [*(ROOT / "reference_impl").rglob("*.py"), *Path(__file__).parent.glob("*.py")]
    return variables, max(source.stat().st_mtime_ns for source in sources)


def _is_in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
