"""One server process of the lab: ``python -m course.workbench.instance``, told what to run by its standard input.

The first line is a JSON object (``Job``). The process then answers with one line when it serves, and with one
line to each later question. When its standard input ends, its owner is gone, and so is it.

Ctrl-C in a terminal and Stop in Jupyter signal the whole process group. What that means is for the owner to
decide, so an instance does not hear it: `course serve` drains its instances, a notebook keeps them.
"""

import asyncio
import json
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from course.workbench.fork_server import end
from course.workbench.job import Job
from reference_impl.app import create_app
from reference_impl.logs import log_config
from reference_impl.server import build_server
from reference_impl.settings import Settings, explain

ORPHAN_DEADLINE_S = 1.0
"""How long an instance whose owner is gone may take to stop."""


class Owner:
    """The two pipes to the process that started this one.

    They are moved away from standard input and output: what a learner's class prints goes to the log and
    can not be taken for an answer, and what it reads is empty.
    """

    def __init__(self) -> None:
        self.questions = FileIO(os.dup(0))  # without a buffer: a thread reads it until the very end
        self._answers = FileIO(os.dup(1), "w")
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)

    def say(self, answer: dict[str, Any]) -> None:
        """One line, whole: a pipe may take it in several pieces."""
        rest = memoryview(msgspec.json.encode(answer) + b"\n")
        while rest:
            rest = rest[self._answers.write(rest) :]


def main() -> int:
    """Runs the job; returns the exit code."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # also for the threads to come
    owner = Owner()
    order = owner.questions.readline()
    if not order:
        return 1  # the owner has thought better of it
    job = msgspec.json.decode(order, type=Job)
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(job.folder)
    try:
        listener = _bind(job.host, job.port)
        server, snapshot = _make_server(job)
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner shows it to the learner
        owner.say({"error": _readable(error)})
        return 2
    failures = _note_failed_starts(server.config.app)
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:  # uvicorn's choice: uvloop
            runner.run(_serve(server, listener, owner, snapshot))
    except SystemExit:  # uvicorn's word for a start that failed
        if failures:
            owner.say({"error": _readable(failures[0])})
        return 2
    return 0


def _bind(host: str, port: int) -> socket.socket:
    # With the protocol named, or asyncio does not know the sockets for TCP and leaves them waiting for acknowledgements
    # before each small write (Nagle): 40 ms a request.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise OSError(f"port {port} on {host} is not free ({error.strerror}); choose another one") from error
    return listener


def _make_server(job: Job) -> tuple[uvicorn.Server, Callable[[], dict[str, Any]]]:
    if job.app_file is not None:
        app = _unpickled(job.app_file)
        app = app if isinstance(app, Starlette) else app()
        config = uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            log_config=uvicorn.config.LOGGING_CONFIG if job.usual_logs else log_config("text"),
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config), dict
    settings = Settings()
    overrides = _unpickled(job.overrides_file) if job.overrides_file else {}
    app = create_app(settings, **overrides)
    app.state.peer_urls = job.peer_urls or app.state.peer_urls
    return build_server(app, settings, job.host, job.port), app.state.chat.snapshot


def _note_failed_starts(app: Any) -> list[Exception]:
    """What the app raises in its lifespan ends here, too: uvicorn only logs it."""
    failures: list[Exception] = []
    if isinstance(app, Starlette):
        original = app.router.lifespan_context

        @asynccontextmanager
        async def noting(starting: Starlette) -> AsyncIterator[Any]:
            try:
                async with original(starting) as state:
                    yield state
            except Exception as error:
                failures.append(error)
                raise

        app.router.lifespan_context = noting
    return failures


def _unpickled(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())  # noqa: S301 - written by the owner a moment ago


async def _serve(
    server: uvicorn.Server, listener: socket.socket, owner: Owner, snapshot: Callable[[], dict[str, Any]]
) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(0.002)  # uvicorn offers nothing to wait on
    if server.started:
        owner.say({"ready": True, "port": listener.getsockname()[1]})
        threading.Thread(target=_listen_to_owner, args=(server, loop, owner, snapshot), daemon=True).start()
    await serving


def _listen_to_owner(
    server: uvicorn.Server, loop: asyncio.AbstractEventLoop, owner: Owner, snapshot: Callable[[], dict[str, Any]]
) -> None:
    for line in owner.questions:
        request = json.loads(line)
        loop.call_soon_threadsafe(_answer, owner, request, server.config.app, snapshot)
    server.force_exit = True  # nobody is left to say goodbye to
    server.handle_exit(signal.SIGTERM, None)
    threading.Timer(ORPHAN_DEADLINE_S, os._exit, [1]).start()


def _answer(owner: Owner, request: dict[str, Any], app: Any, snapshot: Callable[[], dict[str, Any]]) -> None:
    if request["do"] == "meet":
        app.state.peer_urls = request["peer_urls"]
    owner.say({"id": request["id"], "snapshot": snapshot()})


def _readable(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return explain(error)
    return f"{error}" if isinstance(error, (OSError, ValueError, TypeError)) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    end(main())
