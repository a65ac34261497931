"""Exercise 6, driving: three instances with a learner's router around one fake Redis. Decides nothing.

A case is a list of steps:

- ``["join", instance, conversation, connection]`` and ``["leave", …]``
- ``["send", instance, conversation, text]``
- ``["redis_goes"]`` and ``["redis_returns"]``; ``["cut", instance]``: only the link of this instance breaks
- ``["dies", connection]``: from now on ``deliver`` raises for it

After each step everybody gets the time to finish. An observation has one entry a step: ``[outcome, got, counts]``:
what each connection got in this step, and what it took.
"""

import asyncio
from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.fake_channels import FakeBroker, FakeChannels
from course.checks.router_in_server import drive_server

INSTANCES = ("A", "B", "C")
QUIET_TURNS, LONGEST_TURNS = 6, 200
"""So many turns of the event loop without a call, and everybody has finished; so many at most."""
PAUSES = 4
"""How many pauses end in each step."""


class Instance:
    """A router, its listener, and the sockets it delivers to."""

    def __init__(self, subject: Any, name: str, channels: FakeChannels) -> None:
        self.broker = FakeBroker(channels, name)
        self._channels = channels
        self.got: list[tuple[str, str]] = []
        self.dead: set[str] = set()
        self.pauses = 0
        self._pause = asyncio.Event()
        self.router = subject(self.broker, deliver=self._deliver, pause=self._wait)
        self.listening = asyncio.ensure_future(self.router.listen())

    def end_pause(self) -> None:
        """Whoever pauses goes on."""
        self._pause.set()
        self._pause = asyncio.Event()
        self.pauses = 0

    def state(self) -> str:
        """Of its listener."""
        if not self.listening.done():
            return "listens"
        error = None if self.listening.cancelled() else self.listening.exception()
        return f"raised {type(error).__name__}" if error else "has ended"

    async def _deliver(self, connection: str, text: str) -> None:
        self._channels.calls += 1
        await asyncio.sleep(0)
        if connection in self.dead:
            raise ConnectionError("the peer is gone")
        self.got.append((connection, text))

    async def _wait(self) -> None:
        self.pauses += 1
        await self._pause.wait()


class World:
    """The instances around one Redis."""

    def __init__(self, subject: Any) -> None:
        self.channels = FakeChannels()
        self.instances = {name: Instance(subject, name, self.channels) for name in INSTANCES}

    async def take(self, step: list[Any]) -> list[Any]:
        """One step, and what came of it."""
        match step:
            case [("join" | "leave" | "send") as method, name, *arguments]:
                return await outcome_of(getattr(self.instances[name].router, method)(*arguments))
            case ["redis_goes"]:
                self.channels.is_away = True
                self.channels.cut()
            case ["redis_returns"]:
                self.channels.is_away = False
            case ["cut", name]:
                self.channels.cut(name)
            case ["dies", connection]:
                for instance in self.instances.values():
                    instance.dead.add(connection)
        return ["returned", None]

    async def settle(self) -> None:
        """Everybody finishes what they can; pauses end a few times."""
        for _ in range(PAUSES):
            await self._until_quiet()
            if not any(instance.pauses for instance in self.instances.values()):
                return
            for instance in self.instances.values():
                instance.end_pause()
        await self._until_quiet()

    async def _until_quiet(self) -> None:
        quiet = calls = 0
        for _ in range(LONGEST_TURNS):
            await asyncio.sleep(0)
            quiet = quiet + 1 if calls == self.channels.calls else 0
            calls = self.channels.calls
            if quiet == QUIET_TURNS:
                return

    def seen(self) -> list[Any]:
        """What came in this step, and what it took. The counts begin anew."""
        got: dict[str, list[str]] = {}
        for instance in self.instances.values():
            for connection, text in instance.got:
                got.setdefault(connection, []).append(text)
            instance.got.clear()
        links = {name: [link for link in self.channels.links if link.owner == name] for name in INSTANCES}
        counts = {
            "published": self.channels.published,
            "heard": {name: sum(len(link.heard) for link in mine) for name, mine in links.items()},
            "tries": {name: instance.broker.tries for name, instance in self.instances.items()},
            "listener": {name: instance.state() for name, instance in self.instances.items()},
            "links": {name: len(mine) for name, mine in links.items()},
        }
        self.channels.published = 0
        for instance in self.instances.values():
            instance.broker.tries = 0
        for link in self.channels.links:
            link.heard.clear()
        return [got, counts]

    async def end(self) -> None:
        """Ends the listeners."""
        tasks = [instance.listening for instance in self.instances.values()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.2)


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps and writes down who got what."""
    world = World(subject)
    try:
        await world.settle()
        world.seen()
        seen: Observation = []
        for step in case:
            outcome = await world.take(step)
            await world.settle()
            seen.append([_plain(outcome), *world.seen()])
        return seen
    finally:
        await world.end()


def _plain(outcome: list[Any]) -> list[Any]:
    return outcome if outcome[0] == "raised" else ["returned"]


DRIVERS = {"6.1": drive, "6.2": drive, "6.3": drive, "6.4": drive_server}
