"""Starts one instance of a peer: ``python launch.py NAME REDIS_URL READY_FILE``.

Runs in any Python that has the peer's libraries. When the peer serves, the file says on which port, as which process.
"""

import asyncio
import importlib
import json
import os
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Until it is told to end."""
    name, redis_url, ready_file = sys.argv[1:]
    sys.path[0] = str(ROOT)  # not our folder: its files have the names of libraries
    peer = importlib.import_module(f"benchmarks.peers.{name}")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))

    def ready() -> None:
        made = Path(ready_file + ".new")
        made.write_text(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid()}))
        made.rename(ready_file)

    if hasattr(peer, "serve"):
        import uvloop  # noqa: PLC0415 - not on every system

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(peer.serve(listener, redis_url, ready))
    else:
        _run_uvicorn(peer.create_app(redis_url), listener, ready)


def _run_uvicorn(app, listener, ready) -> None:  # type: ignore[no-untyped-def]
    import uvicorn  # noqa: PLC0415 - the floor needs none

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    # As its documentation advises for production: uvloop and httptools where they are, no access log.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
