"""Exercise 13, driving: runs two instances of a learner's fan-out, counts their work and decides nothing.

A case is a list of steps:

- ``["max_waiting", n]``, first of all
- ``["join", instance, conversation, socket]``, ``["leave", instance, conversation, socket]``
- ``["send", instance, [conversation, …]]``: a message to each, with no turn of the event loop in between
- ``["stalls", socket]``, ``["reads", socket]``, ``["dies", socket]``

After each step the event loop turns until nothing more happens, and no timer goes off. An observation has one
entry a step.
"""

import asyncio
import inspect
from collections import deque
from typing import Any

from course.checks.case import Case, Observation
from course.checks.counted_parts import CountedEncoder, CountedRedis, CountedSocket, HeldTimers

INSTANCES = ("A", "B")
QUIET_TURNS = 8
"""So many turns without anything that can be seen: it has come to rest."""


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps, and ends what they have started."""
    before = asyncio.all_tasks()
    timers = HeldTimers()
    with timers.held():
        world = World(subject, case[0][1])
        seen: Observation = []
        for step in case[1:]:
            outcome = world.take(step) or await world.come_to_rest()
            seen.append(world.seen(outcome, timers.count))
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await asyncio.sleep(0)
    return seen


class World:
    """Two instances, one Redis, some sockets."""

    def __init__(self, subject: Any, limit: int) -> None:
        self._encoder = CountedEncoder()
        self._commands: list[list[str]] = []
        self._published: deque[tuple[str, str]] = deque()
        self._sockets: dict[str, CountedSocket] = {}
        self._redis = {name: CountedRedis(name, self._commands, self._published) for name in INSTANCES}
        self._instances = {
            name: subject(encode=self._encoder, redis=redis, max_waiting=limit) for name, redis in self._redis.items()
        }
        self._sent = 0
        self._message: dict[str, str] = {}
        self._failed: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._note_failure)

    def take(self, step: list[Any]) -> list[str]:
        """One step. What is published in it is handed over before the event loop turns. Empty when all went well."""
        match step:
            case [("join" | "leave") as what, name, conversation, socket]:
                sockets = self._sockets
                sockets.setdefault(socket, CountedSocket(socket, self._encoder))
                return _called(getattr(self._instances[name], what), conversation, sockets[socket])
            case ["send", name, conversations]:
                for conversation in conversations:
                    if failed := self._send(name, conversation):
                        return failed
                return self.hand_over()
            case ["stalls", socket]:
                self._sockets[socket].stall()
            case ["reads", socket]:
                self._sockets[socket].read()
            case ["dies", socket]:
                self._sockets[socket].die()
        return []

    def hand_over(self) -> list[str]:
        """What was published, to every instance that is subscribed."""
        while self._published:
            conversation, text = self._published.popleft()
            for name, instance in self._instances.items():
                if conversation in self._redis[name].subscribed and (
                    failed := _called(instance.deliver, conversation, text)
                ):
                    return failed
        return []

    async def come_to_rest(self) -> list[str]:
        """Lets the event loop turn until nothing more happens."""
        quiet, last = 0, -1
        while quiet < QUIET_TURNS:
            if failed := self.hand_over():
                return failed
            await asyncio.sleep(0)
            happened = len(self._commands) + sum(s.happened for s in self._sockets.values())
            quiet, last = (quiet + 1 if happened == last else 0), happened
        return []

    def seen(self, outcome: list[str], timers: int) -> dict[str, Any]:
        """What has happened since the last look."""
        sockets = self._sockets.values()
        entry = {
            "outcome": outcome,
            "encodes": self._encoder.count,
            "commands": sorted(self._commands),
            "writes": {socket.name: socket.writes for socket in sockets if socket.writes},
            "got": {socket.name: socket.got for socket in sockets if socket.got},
            "closed": {socket.name: [repr(code) for code in socket.closed] for socket in sockets if socket.closed},
            "overlaps": [socket.name for socket in sockets if socket.overlaps],
            "timers": timers,
            "failed": self._failed[:1],
        }
        self._encoder.count = 0
        self._commands.clear()
        for socket in sockets:
            socket.writes, socket.got, socket.closed, socket.overlaps = [], [], [], False
        return entry

    def _send(self, name: str, conversation: str) -> list[str]:
        self._sent += 1
        self._message["text"] = f"m{self._sent}"
        failed = _called(self._instances[name].send, conversation, self._message)
        self._message["text"] = "changed"  # it is ours: who keeps it, has another one now
        return failed

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "exception" in context:
            self._failed.append(f"{type(context['exception']).__name__}: {context['exception']}")


def _called(method: Any, *arguments: Any) -> list[str]:
    """Empty when it went well; else what went wrong."""
    try:
        result = method(*arguments)
    except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
        return ["raised", type(error).__name__, f"{type(error).__name__}: {error}"]
    if inspect.iscoroutine(result):
        result.close()
        return ["coroutine", method.__name__]
    return []


DRIVERS = {"13.1": drive, "13.2": drive, "13.3": drive}
