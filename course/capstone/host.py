"""Inside the sandbox: starts the learner's server, and opens the door to it.

``python -m course.capstone.host DOOR INSTANCES`` in the folder with ``chat_server.py``. ``DOOR`` is the file
descriptor of a listening Unix socket. It ends when one of the instances does, with its exit code.
"""

import asyncio
import os
import secrets
import socket
import sys
from pathlib import Path

from course.capstone.tunnel import serve_inner_end
from course.workbench.redis_server import RedisServer, free_port

HEARTBEAT_S = "1"


async def main(door: int, instances: int) -> int:
    """Serves until an instance has ended."""
    ports = [free_port() for _ in range(instances)]
    await serve_inner_end(socket.socket(fileno=door), ports)
    shared = {"CHAT_SECRET_KEY": secrets.token_hex(32), "CHAT_HEARTBEAT_INTERVAL_S": HEARTBEAT_S}
    shared |= {"CHAT_DEMO_LOGIN": "1", "CHAT_ALLOW_QUERY_TOKEN": "1"}
    if instances == 1:
        return await _first_end(ports, shared)
    async with RedisServer() as redis:
        database = f"sqlite:///{Path.cwd() / 'chat.db'}"
        return await _first_end(ports, shared | {"CHAT_REDIS_URL": redis.url, "CHAT_DATABASE_URL": database})


async def _first_end(ports: list[int], shared: dict[str, str]) -> int:
    processes = []
    for number, port in enumerate(ports):
        command = ["-m", "uvicorn", "chat_server:app", "--port", str(port), "--log-level", "warning"]
        own = {"CHAT_INSTANCE_ID": f"instance-{number}"}
        processes.append(await asyncio.create_subprocess_exec(sys.executable, *command, env=os.environ | shared | own))
    waiting = [asyncio.create_task(one.wait()) for one in processes]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    # Before Python 3.12 a cancelled connection of the tunnel is a traceback, behind the server's last words.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    return abs(next(iter(done)).result()) or 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]))))
