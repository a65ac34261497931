"""Exercise 5, driving: two instances with a learner's presence manager over one store, and a clock moved by hand.

A case is a list of steps. The first is ``["lease", seconds]``, then come:

- ``["add", instance, user, connection]`` and ``["remove", instance, user, connection]``
- ``["renew", instance]`` and ``["expire", instance]``; ``["expire_together"]``: both instances at the same time
- ``["wait", seconds]``: the clock goes on
- ``["kill", instance]``: without a goodbye; a new process takes its place
- ``["store_forgets"]``: everything in the store is lost

An observation has one entry a step: ``[outcome, online, stored]``. ``online`` says for each user what each of the
two instances answers, ``stored`` what is in the store.
"""

import asyncio
from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.presence_in_server import drive_server
from course.checks.shared_leases import SharedLeases

INSTANCES = ("A", "B")


class World:
    """Two instances, what they share, and the time."""

    def __init__(self, subject: Any, lease_s: float) -> None:
        self.store = SharedLeases()
        self.now = 1000.0
        self._subject, self._lease_s = subject, lease_s
        self.instances = {name: self._new() for name in INSTANCES}

    def _new(self) -> Any:
        """An instance that has just started."""
        return self._subject(self.store, clock=lambda: self.now, lease_s=self._lease_s)

    async def take(self, step: list[Any]) -> list[Any]:
        """One step, and what came of it."""
        match step:
            case ["add", name, user, connection]:
                return await outcome_of(self.instances[name].add_user_to_online(user, connection))
            case ["remove", name, user, connection]:
                return await outcome_of(self.instances[name].remove_user_from_online(user, connection))
            case ["renew", name]:
                return await outcome_of(self.instances[name].renew())
            case ["expire", name]:
                return await _told([self.instances[name]])
            case ["expire_together"]:
                return await _told(list(self.instances.values()))
            case ["wait", seconds]:
                self.now += seconds
            case ["kill", name]:
                self.instances[name] = self._new()
            case ["store_forgets"]:
                self.store.forget()
        return ["returned", None]

    async def answers(self, user: str) -> list[Any]:
        """What each instance says about a user."""
        outcomes = [await outcome_of(one.is_user_online(user)) for one in self.instances.values()]
        return [outcome[1] if outcome[0] == "returned" else f"raised {outcome[1]}" for outcome in outcomes]


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps, and asks both instances about everybody after each."""
    (_, lease_s), *steps = case
    world = World(subject, lease_s)
    users = sorted({step[2] for step in steps if step[0] == "add"})
    seen: Observation = [["start"]]
    for step in steps:
        outcome = await world.take(step)
        online = {user: await world.answers(user) for user in users}
        seen.append([outcome, online, {user: sorted(leases) for user, leases in world.store.ends.items()}])
    return seen


async def _told(instances: list[Any]) -> list[Any]:
    """Who was reported as gone, by all of these instances together."""
    outcomes = await asyncio.gather(*(outcome_of(one.expire()) for one in instances))
    for outcome in outcomes:
        if outcome[0] == "raised":
            return outcome
    try:
        return ["returned", sorted(user for _, told in outcomes for user in told)]
    except TypeError:  # None, say: somebody forgot to return anything
        return ["returned", None]


DRIVERS = {"5.1": drive, "5.2": drive, "5.3": drive_server}
