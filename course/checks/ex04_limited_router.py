"""Exercise 4, driving: a learner's limiter, presence cache and router, put together, and decides nothing.

A case begins with what ``compose`` is told:

- ``["limit", max_messages, window_s]``, ``["max_bytes", n]``, ``["fresh", seconds]``

Then steps:

- ``["admit", user, now]``: the limiter alone; ``["how_long", user, now]`` is the same call
- ``["lease", user, until]``: from now on Redis says so; 0: there is none
- ``["redis_away"]``, ``["redis_back"]``
- ``["is_online", user, now]``: the cache alone
- ``["route", sender, recipient, text, now]``
- ``["crowd", n, windows]``: in each window ``n`` users come who have never been there, and send something
- ``["visitors", n, windows]``: the same for the cache: each time ``n`` others are asked about
- ``["flood", n]``: one user, who tries ``n`` times at the same moment

An observation has one entry a step.
"""

import asyncio
import inspect
from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.kept_objects import kept_by
from course.checks.limiter_in_server import drive_in_server

SETTINGS: dict[str, Any] = {"limit": [3, 60], "max_bytes": 100, "fresh": 10}


async def drive(subject: Any, case: Case) -> Observation:
    """Puts the parts together as the case says, and takes the steps."""
    told = SETTINGS | {name: rest if len(rest) > 1 else rest[0] for name, *rest in case if name in SETTINGS}
    before = asyncio.all_tasks()
    world = World(subject, told)
    seen = [None if step[0] in SETTINGS else await world.take(step) for step in case]
    for task in asyncio.all_tasks() - before:
        task.cancel()
    return seen


class World:
    """The router, and the Redis that it leans on."""

    def __init__(self, subject: Any, told: dict[str, Any]) -> None:
        self._limit, self._window_s = told["limit"]
        self._fresh_s = told["fresh"]
        self._leases: dict[str, float] = {}
        self._is_away = False
        self._now = 0.0
        self._asked: list[str] = []
        self._published: list[list[str]] = []
        self._router = subject(
            max_messages=self._limit,
            window_s=self._window_s,
            max_bytes=told["max_bytes"],
            fresh_s=told["fresh"],
            lease_end=self._lease_end,
            publish=self._publish,
        )

    async def take(self, step: list[Any]) -> Any:
        """One step, and what came of it."""
        self._asked, self._published = [], []
        match step:
            case ["admit" | "how_long", user, now]:
                return self._admit(user, now)
            case ["lease", user, until]:
                self._leases[user] = until
            case ["redis_away" | "redis_back" as what]:
                self._is_away = what == "redis_away"
            case ["is_online", user, now]:
                self._now = now
                return self._seen(await outcome_of(self._router.presence.is_online(user, now)))
            case ["route", sender, recipient, text, now]:
                self._now = now
                return self._seen(await outcome_of(self._router.route(sender, recipient, text, now)))
            case ["crowd", number, windows]:
                return self._crowd(number, windows)
            case ["visitors", number, windows]:
                return await self._visitors(number, windows)
            case ["flood", number]:
                kept = [self._tried(10), self._tried(number)]
                return ["kept", *kept]
        return None

    def _admit(self, user: str, now: float) -> list[Any]:
        try:
            answer = self._router.limiter.admit(user, now)
        except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
            return ["raised", type(error).__name__, str(error)]
        if inspect.iscoroutine(answer):
            answer.close()
        return ["returned", answer if answer is None or isinstance(answer, int | float) else repr(answer)]

    def _seen(self, outcome: list[Any]) -> dict[str, Any]:
        plain = [part if isinstance(part, str | bool) else repr(part) for part in outcome]
        return {"outcome": plain, "asked": self._asked, "published": self._published}

    def _crowd(self, number: int, windows: int) -> list[Any]:
        kept = []
        for window in range(windows):
            for one in range(number):
                now = (window + one / number) * self._window_s
                for _ in range(1 + one % self._limit):
                    self._router.limiter.admit(f"user-{window}-{one}", now)
            kept.append(kept_by(self._router.limiter) if window in (1, windows - 1) else 0)
        return ["kept", kept[1], kept[-1]]

    async def _visitors(self, number: int, windows: int) -> list[Any]:
        kept = []
        for window in range(windows):
            for one in range(number):
                self._now = (window + one / number) * self._fresh_s
                user = f"user-{window}-{one}"
                self._leases = {user: self._now + self._fresh_s} if one % 2 else {}
                await self._router.presence.is_online(user, self._now)
            self._leases, self._asked = {}, []
            kept.append(kept_by(self._router.presence) if window in (1, windows - 1) else 0)
        return ["kept", kept[1], kept[-1]]

    def _tried(self, number: int) -> int:
        for _ in range(number):
            self._router.limiter.admit("ann", 0)
        return kept_by(self._router.limiter)

    async def _lease_end(self, user_id: str) -> float:
        self._asked.append(user_id)
        if self._is_away:
            raise ConnectionError("Redis is away")
        end = self._leases.get(user_id, 0)
        return end if end > self._now else 0

    async def _publish(self, user_id: str, text: str) -> None:
        self._published.append([user_id, text])


DRIVERS = {"4.1": drive, "4.2": drive, "4.3": drive, "4.4": drive_in_server}
