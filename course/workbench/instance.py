"""One server process of the lab: ``python -m course.workbench.instance``, told what to run by its standard input.

The first line is a JSON object (``Job``). The process then answers with one line when it serves, and with one
line to each later question. When its standard input ends, its owner is gone, and so is it.
"""

import asyncio
import json
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from reference_impl.app import create_app
from reference_impl.logs import log_config
from reference_impl.server import build_server
from reference_impl.settings import Settings, explain

ORPHAN_DEADLINE_S = 1.0
"""How long an instance whose owner is gone may take to stop."""


class Job(msgspec.Struct, kw_only=True):
    """What to run: the reference server with overrides, or an app of the learner's own."""

    host: str
    port: int
    overrides_file: str | None = None
    """A pickle of a dict: part name → class. Made by ``cloudpickle``, so it may hold a notebook's classes."""
    app_file: str | None = None
    """A pickle of an ASGI app or of a function that makes one; then the reference server is not used."""


def main() -> int:
    """Runs the job; returns the exit code."""
    owner = FileIO(sys.stdin.fileno(), closefd=False)  # without a buffer: a thread reads it until the very end
    job = msgspec.json.decode(owner.readline(), type=Job)
    try:
        listener = _bind(job.host, job.port)
        server, snapshot = _make_server(job)
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner shows it to the learner
        _say({"error": _readable(error)})
        return 2
    asyncio.run(_serve(server, listener, owner, snapshot))
    return 0


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise OSError(f"port {port} on {host} is not free ({error.strerror}); choose another one") from error
    return listener


def _make_server(job: Job) -> tuple[uvicorn.Server, Callable[[], dict[str, Any]]]:
    if job.app_file is not None:
        app = _unpickled(job.app_file)
        app = app() if not isinstance(app, FastAPI) and not hasattr(app, "router") else app
        config = uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            log_config=log_config("text"),
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config), dict
    settings = Settings()
    overrides = _unpickled(job.overrides_file) if job.overrides_file else {}
    app = create_app(settings, **overrides)
    return build_server(app, settings, job.host, job.port), app.state.chat.snapshot


def _unpickled(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())  # noqa: S301 - written by the owner a moment ago


async def _serve(
    server: uvicorn.Server, listener: socket.socket, owner: FileIO, snapshot: Callable[[], dict[str, Any]]
) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(0.002)  # uvicorn offers nothing to wait on
    if server.started:
        _say({"ready": True, "port": listener.getsockname()[1]})
        threading.Thread(target=_listen_to_owner, args=(server, loop, owner, snapshot), daemon=True).start()
    await serving


def _listen_to_owner(
    server: uvicorn.Server, loop: asyncio.AbstractEventLoop, owner: FileIO, snapshot: Callable[[], dict[str, Any]]
) -> None:
    for line in owner:
        request = json.loads(line)
        loop.call_soon_threadsafe(_answer, request["id"], snapshot)
    server.force_exit = True  # nobody is left to say goodbye to
    server.should_exit = True
    threading.Timer(ORPHAN_DEADLINE_S, os._exit, [1]).start()


def _answer(number: int, snapshot: Callable[[], dict[str, Any]]) -> None:
    _say({"id": number, "snapshot": snapshot()})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def _readable(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return explain(error)
    return f"{error}" if isinstance(error, (OSError, ValueError, TypeError)) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
