"""Exercise 1, driving: runs a learner's connection manager and decides nothing.

A case is a list of steps:

- ``["connect", user, socket]``, ``["connect_fails", user, socket]``: the handshake works, or raises
- ``["connect_together", user, [socket, …]]``: handshakes that are all under way at the same time
- ``["disconnect", n]``: the n-th connection that was made, for the first time or again
- ``["dies", socket]``: from now on its ``send_json`` raises
- ``["send", user]``

An observation has one entry a step: ``[outcome, state, deliveries]``.
"""

import asyncio
from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.fake_socket import FakeSocket

LIMIT = 2


async def drive(subject: Any, case: Case) -> Observation:
    """Runs the steps on a fresh manager and writes down what can be seen from outside."""
    manager = subject(max_connections_per_user=LIMIT)
    sockets: dict[str, FakeSocket] = {}
    made: list[Any] = []
    seen: Observation = []
    for step in case:
        outcome = await _take(manager, step, sockets, made)
        seen.append([outcome, _state(manager), {name: socket.got for name, socket in sockets.items() if socket.got}])
    return seen


async def _take(manager: Any, step: list[Any], sockets: dict[str, FakeSocket], made: list[Any]) -> list[Any]:
    match step:
        case [("connect" | "connect_fails") as how, user, name]:
            sockets[name] = FakeSocket(name, fails=how == "connect_fails")
            return await _connect(manager, user, sockets[name], made)
        case ["connect_together", user, names]:
            gate = asyncio.Event()
            sockets |= {name: FakeSocket(name, gate=gate) for name in names}
            tasks = [asyncio.create_task(_connect(manager, user, sockets[name], made)) for name in names]
            for _ in range(10):
                await asyncio.sleep(0)  # every handshake is under way, none has ended
            gate.set()
            return sorted(await asyncio.gather(*tasks), key=str)
        case ["disconnect", number]:
            return await outcome_of(manager.disconnect(made[number]))
        case ["dies", name]:
            sockets[name].dead = True
            return ["returned", None]
        case ["send", user]:
            return await outcome_of(manager.send_to_user(user, {"action": "new_message"}))
    raise ValueError(f"unknown step {step}")


async def _connect(manager: Any, user: str, socket: FakeSocket, made: list[Any]) -> list[Any]:
    outcome = await outcome_of(manager.connect(user, socket))
    if outcome[0] == "raised":
        return outcome
    made.append(outcome[1])
    if not isinstance(outcome[1], str) or not outcome[1]:
        return ["returned", repr(outcome[1])]
    return ["returned", "an id" if made.count(outcome[1]) == 1 else "an id that another connection has"]


def _state(manager: Any) -> dict[str, Any]:
    by_user = {user: list(ids) for user, ids in manager.connections_by_user.items()}
    named = sorted(connection_id for ids in by_user.values() for connection_id in ids)
    return {
        "users": {user: len(ids) for user, ids in by_user.items()},
        "ids": len(manager.connections_by_id),
        "agree": named == sorted(manager.connections_by_id),
    }


DRIVERS = {"1.1": drive, "1.2": drive, "1.3": drive}
