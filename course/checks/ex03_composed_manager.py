"""Exercise 3, driving: gives a learner's manager its parts, lets them fail, and decides nothing.

A case begins with ``["slots", n]``, the slots a user has. Then steps:

- ``["connect", user, connection]``: every part works
- ``["connect_fails", user, connection, call, when, *others]``: ``call`` raises, ``before`` or ``after`` it has worked;
  so do the ``others``, before, when something is given back
- ``["connect_cancelled", user, connection, call, when]``: cancelled while it waits in this call
- ``["disconnect", connection, *others]``: ``others`` raise
- ``["connect_together", ["user connection", …], call]``: all begin while ``call`` waits
- ``["disconnect_meanwhile", connection, user, new_connection, call]``: while a new one waits in ``call``

An observation has one entry a step: what its calls did, which calls of the parts it made, and what is taken after it.
"""

import asyncio
import contextvars
from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.injected_parts import Ledger, Presence, Router, Slots, Socket

QUIET_TURNS = 60
"""More turns of the event loop than any manager needs for what can go on now."""


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps with one manager, and ends what they have started."""
    before = asyncio.all_tasks()
    world = World(subject, slots=case[0][1])
    seen: Observation = []
    for step in case[1:]:
        outcome = await world.take(step)
        await world.rest()
        seen.append(world.seen(outcome))
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await asyncio.sleep(0)
    return seen


class World:
    """A manager and its parts."""

    def __init__(self, subject: Any, slots: int) -> None:
        self._ledger = Ledger(slots)
        self._name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="c0")
        self._manager = subject(Slots(self._ledger), Presence(self._ledger), Router(self._ledger), self._new_id)
        self._ids: dict[str, Any] = {}
        self._named: set[str] = set()

    async def take(self, step: list[Any]) -> Any:
        """One step. Returns what its calls did."""
        ledger = self._ledger
        ledger.calls, ledger.fails, ledger.waits, ledger.gate = [], {}, {}, asyncio.Event()
        match step:
            case ["connect", user, name]:
                return await self._connect(user, name)
            case ["connect_fails", user, name, call, when, *others]:
                ledger.fails = {call: when} | dict.fromkeys(others, "before")
                return await self._connect(user, name)
            case ["connect_cancelled", user, name, call, when]:
                ledger.waits = {call: when}
                return await self._cancelled(user, name)
            case ["disconnect", name, *others]:
                ledger.fails = dict.fromkeys(others, "before")
                return await outcome_of(self._manager.disconnect(self._ids.get(name, name)))
            case ["connect_together", people, call]:
                return await self._together(people, call)
            case ["disconnect_meanwhile", name, user, new, call]:
                return await self._meanwhile(name, user, new, call)
        raise ValueError(f"unknown step {step}")

    async def rest(self) -> None:
        """Lets the event loop turn until nothing can happen any more."""
        for _ in range(QUIET_TURNS):
            await asyncio.sleep(0)

    def seen(self, outcome: Any) -> dict[str, Any]:
        """What a step did, and what is taken after it."""
        listed = sorted(map(str, self._manager.connections))
        return {"outcome": outcome, "calls": self._ledger.calls, "held": self._ledger.held(), "listed": listed}

    async def _connect(self, user: str, name: str) -> list[Any]:
        self._name.set(name)
        socket = Socket(self._ledger, name)
        outcome = await outcome_of(self._manager.connect(user, socket, f"{user}'s room"))
        if outcome[0] == "returned":
            self._ids[name] = outcome[1]
        return [outcome[0], *map(str, outcome[1:])]

    async def _cancelled(self, user: str, name: str) -> list[Any]:
        task = asyncio.create_task(self._connect(user, name))
        await self.rest()
        reached = self._ledger.waiting
        task.cancel()
        await self.rest()
        self._ledger.gate.set()
        await asyncio.wait([task])
        outcome = ["cancelled"] if task.cancelled() else task.result()
        return [*outcome] if reached else ["never called"]

    async def _together(self, people: list[str], call: str) -> list[Any]:
        self._ledger.waits = {call: "before"}
        tasks = [asyncio.create_task(self._connect(user, name)) for user, name in map(str.split, people)]
        await self.rest()
        reached = self._ledger.waiting
        self._ledger.gate.set()
        return [reached, *await asyncio.gather(*tasks)]

    async def _meanwhile(self, name: str, user: str, new: str, call: str) -> list[Any]:
        self._ledger.waits = {call: "before"}
        connecting = asyncio.create_task(self._connect(user, new))
        await self.rest()
        disconnecting = asyncio.create_task(outcome_of(self._manager.disconnect(self._ids.get(name, name))))
        await self.rest()
        ended = disconnecting.done()
        self._ledger.gate.set()
        await disconnecting
        return [ended, await connecting]

    def _new_id(self) -> str:
        """A connection's id; another one, when it is asked for again."""
        name = self._name.get()
        again = "-again" if name in self._named else ""
        self._named.add(name)
        return f"{name}{again}"


DRIVERS = {"3.1": drive, "3.2": drive, "3.3": drive}
