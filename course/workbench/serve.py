"""``course serve`` and ``course token``: the reference server in a terminal."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from dotenv import dotenv_values
from pydantic import TypeAdapter

from course.errors import UserError
from course.workbench.cluster import Cluster
from course.workbench.forks import ROOT
from reference_impl.model.errors import Invalid
from reference_impl.services.authentication_service import AuthenticationService

IN_CHECKOUT = (ROOT / "pyproject.toml").exists()
SECRET_FILE = (ROOT / ".breakwire" if IN_CHECKOUT else Path.home() / ".cache" / "breakwire") / "local-secret"
"""What `course serve` signs with and `course token` too: two commands, one secret, on this machine only."""

CHECK_S = 0.2


def serve(
    *,
    instances: int,
    port: int,
    host: str,
    redis_url: str | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Runs instances until Ctrl-C or SIGTERM, then drains them. Raises ``UserError``."""
    asyncio.run(_serve(_cluster(instances, port, host, redis_url, database_url), as_json=as_json))


def token(user: str, name: str | None, ttl: int, *, operator: bool = False) -> str:
    """A token that the servers of `course serve` accept. Raises ``UserError``."""
    service = AuthenticationService(secret_key=local_secret(), clock=lambda: datetime.now(UTC))
    try:
        return service.issue_token(user, name, ttl, is_operator=operator)[0]
    except Invalid as error:
        raise UserError(error.message) from error


def local_secret() -> str:
    """``CHAT_SECRET_KEY``, or one of this checkout's own, made when it is first needed."""
    if named := user_settings().get("SECRET_KEY"):
        return named
    if not SECRET_FILE.exists():
        SECRET_FILE.parent.mkdir(parents=True, exist_ok=True)
        # Written apart, then linked: whoever looks sees all of it, and of two that make one, the first wins.
        with tempfile.NamedTemporaryFile("w", dir=SECRET_FILE.parent) as made:  # readable by its owner only
            made.write(secrets.token_urlsafe(48))
            made.flush()
            with contextlib.suppress(FileExistsError):
                os.link(made.name, SECRET_FILE)
    return SECRET_FILE.read_text()


def user_settings() -> dict[str, str]:
    """The user's ``CHAT_`` settings without the prefix: from ``.env`` here, and over it from the environment."""
    found = {name.upper(): value for name, value in dotenv_values(".env").items() if value} | dict(os.environ)
    return {name.removeprefix("CHAT_"): value for name, value in found.items() if name.startswith("CHAT_") and value}


def _cluster(instances: int, port: int, host: str, redis_url: str | None, database_url: str | None) -> Cluster:
    """The instances' settings are the user's ``CHAT_`` variables; only demo sign-in is on unless they say no,
    and one address may have many connections: here everybody is 127.0.0.1."""
    given = user_settings()
    settings: dict[str, Any] = {"SECRET_KEY": local_secret(), "DEMO_LOGIN": "1", "MAX_CONNECTIONS_PER_IP": 1000} | given
    for decided_here in ("REDIS_URL", "DATABASE_URL", "INSTANCE_ID"):
        settings.pop(decided_here, None)
    return Cluster(
        instances,
        settings=settings,
        redis_url=redis_url or given.get("REDIS_URL"),
        database_url=database_url or given.get("DATABASE_URL"),
        host=host,
        first_port=port,
        forked=False,
    )


async def _serve(cluster: Cluster, *, as_json: bool) -> None:
    stop = asyncio.Event()
    _on_signal(stop.set)
    await cluster.start()
    try:
        (_print_json if as_json else _print_for_people)(cluster)
        await _until(stop, cluster)
    finally:
        await cluster.drain()
        await cluster.stop()


def _on_signal(react: Callable[[], None]) -> None:
    """Ctrl-C and SIGTERM wake the loop. ``loop.add_signal_handler`` would do, but not on Windows."""
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(react)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


async def _until(stop: asyncio.Event, cluster: Cluster) -> None:
    """Returns on the signal; says when an instance ends by itself. Raises ``UserError`` when all have."""
    reported: set[str] = set()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S):
                await stop.wait()
        ended = {one.name: one for one in cluster.instances if not one.is_running}
        for name in sorted(ended.keys() - reported):
            sys.stderr.write(f"{name} has ended with {ended[name].returncode}\n{ended[name].log_tail(5)}\n")
        reported |= ended.keys()
        if len(ended) == len(cluster.instances) and not stop.is_set():
            raise UserError("all instances have ended", exit_code=1)


def _print_json(cluster: Cluster) -> None:
    line = {
        "instances": [
            {"url": cluster.url(number), "instance_id": one.instance_id, "pid": one.pid}
            for number, one in enumerate(cluster.instances)
        ],
        "redis_url": cluster.redis.url,
        "database_url": cluster.database_url,
    }
    _print(msgspec.json.encode(line).decode())


def _print_for_people(cluster: Cluster) -> None:
    if cluster.redis.notice:
        _print(cluster.redis.notice)
    for number, one in enumerate(cluster.instances):
        _print(f"{one.instance_id}  {cluster.url(number)}  pid {one.pid}")
    _print(
        f"""redis       {cluster.redis.url}
database    {cluster.database_url}

{_how_to_open(cluster)}
ready"""
    )


def _how_to_open(cluster: Cluster) -> str:
    """The chat page as two people on two instances; without demo sign-in, how to get in."""
    first, second = cluster.url(0), cluster.url(len(cluster.instances) - 1)
    if TypeAdapter(bool).validate_python(cluster.settings["DEMO_LOGIN"]):
        chat = f"Chat as alice:  {first}/?user=alice\nChat as bob:    {second}/?user=bob"
    else:
        chat = f"Chat:           {first}/   (sign in with what `course token alice` prints)"
    chat += f"\nMonitor:        {first}/monitor"
    return f"{chat}\nFor programs:   {first}/docs and {first}/asyncapi.json; `course token alice` prints a token\n"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
