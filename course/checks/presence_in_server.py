"""Exercise 5 in the real server: a learner's presence manager in two instances, over a real Redis.

A case is a list of steps. The first is ``["lease", seconds]``, then come:

- ``["connects", user, device, instance]`` and ``["leaves", user, device]``, with a goodbye
- ``["redis_forgets"]`` and ``["kill", instance]``
- ``["until", instance, user, answer]``: ask that instance until it says so, or until there is no hope
- ``["stays", instance, user, answer, seconds]``: ask it again and again, as long as it says so
- ``["hears", user]``: wait until the watcher, who is on instance 0, has been told that the user went offline

An observation has one entry a step: the answer of the instance, or what the watcher heard. It ends with None where
waiting was in vain.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from course.checks.case import Case, Observation, within
from course.workbench.client import LabClient
from course.workbench.lab import Lab
from reference_impl.model.presence import Lease, PresenceAction, PresenceChange
from reference_impl.settings import Settings

ASK_EVERY_S = 0.05
PATIENCE_S = 4.0
"""How much longer than a lease we wait: a busy machine is slow."""

logger = logging.getLogger(__name__)


class RedisLeases:
    """The store of the exercise, as sorted sets in Redis: one a user, in which a connection's score is its end."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = Redis.from_url(url, decode_responses=True)
        self._prefix = prefix + "exercise-5:"

    async def put(self, user_id: str, connection_id: str, ends_at: float) -> None:
        """Writes a lease."""
        await self._redis.zadd(self._prefix + user_id, {connection_id: ends_at})

    async def remove(self, user_id: str, connection_id: str) -> int | None:
        """Removes a lease and counts the rest, in one step."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._prefix + user_id, connection_id)
            pipe.zcard(self._prefix + user_id)
            removed, left = await pipe.execute()
        return int(left) if removed else None

    async def leases(self, user_id: str) -> dict[str, float]:
        """Connection → end."""
        rows: Any = await self._redis.zrange(self._prefix + user_id, 0, -1, withscores=True)
        return dict(rows)

    async def users(self) -> list[str]:
        """Who has a lease."""
        return [key.removeprefix(self._prefix) async for key in self._redis.scan_iter(self._prefix + "*")]

    async def aclose(self) -> None:
        """Ends the connection."""
        await self._redis.aclose()


class PluggedIn:
    """The server's part ``presence_manager``: a learner's class, called at the right times.

    Everything that is decided here, is decided by it. What it says of comings and goings is told to the members.
    """

    def __init__(self, subject: Any, *, announce: Callable[[PresenceChange], None], lease_s: float, **_: Any) -> None:
        settings = Settings()
        self.held_leases: dict[str, str] = {}
        self._store = RedisLeases(str(settings.redis_url), settings.redis_prefix)
        self._theirs = subject(self._store, clock=time.time, lease_s=lease_s)
        self._lease_s = lease_s
        self._announce = announce
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Renews every third of a lease, and looks for what is over."""
        self._tasks = [
            asyncio.create_task(_repeat(self._theirs.renew, self._lease_s / 3)),
            asyncio.create_task(_repeat(self._expire, self._lease_s / 20)),
        ]

    async def stop(self) -> None:
        """Ends both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.aclose()

    async def add_user_to_online(self, user_id: str, connection_id: str, **_device: Any) -> bool:
        """Theirs, and the others are told."""
        self.held_leases[connection_id] = user_id
        was_online = bool(await self._theirs.add_user_to_online(user_id, connection_id))
        self._tell("device_connected" if was_online else "user_online", user_id)
        return was_online

    async def remove_user_from_online(self, user_id: str, connection_id: str, **_how: Any) -> bool:
        """Theirs, and the others are told."""
        self.held_leases.pop(connection_id, None)
        is_online = bool(await self._theirs.remove_user_from_online(user_id, connection_id))
        self._tell("device_disconnected" if is_online else "user_offline", user_id)
        return is_online

    async def is_user_online(self, user_id: str) -> bool:
        """Theirs."""
        return bool(await self._theirs.is_user_online(user_id))

    async def online_users(self, user_ids: list[str]) -> set[str]:
        """Those of whom theirs says so."""
        return {user_id for user_id in user_ids if await self.is_user_online(user_id)}

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        """One lease for each who is online: enough for whoever decides on a push."""
        return {user_id: [Lease(user_id, "exercise-5")] for user_id in await self.online_users(user_ids)}

    async def _expire(self) -> None:
        for user_id in await self._theirs.expire():
            self._tell("user_offline", user_id)

    def _tell(self, action: PresenceAction, user_id: str) -> None:
        self._announce(PresenceChange(action, user_id))


async def _repeat(work: Callable[[], Awaitable[Any]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except Exception:
            logger.exception("a learner's presence manager failed, going on")


def plugged_in(subject: Any) -> Callable[..., PluggedIn]:
    """What makes the part, for ``Lab(overrides=…)``."""

    def make(**arguments: Any) -> PluggedIn:
        return PluggedIn(subject, **arguments)

    return make


class Scene:
    """Two servers, their users, and one who watches."""

    def __init__(self, lab: Lab, lease_s: float, watcher: LabClient) -> None:
        self._lab = lab
        self._patience_s = lease_s + PATIENCE_S
        self._watcher = watcher
        self._devices: dict[tuple[str, str], LabClient] = {}

    async def take(self, step: list[Any]) -> Any:
        """One step, and what came of it; None when it was not what was waited for."""
        match step:
            case ["connects", user, device, instance]:
                self._devices[user, device] = await self._lab.client(user, instance=instance, device_id=device)
            case ["leaves", user, device]:
                await self._devices[user, device].close()
            case ["redis_forgets"]:
                await self._lab.redis.flush()
            case ["kill", instance]:
                await self._lab.kill(instance)
            case ["until", instance, user, wanted]:
                return await self._until(instance, user, wanted)
            case ["stays", instance, user, wanted, seconds]:
                return await self._stays(instance, user, wanted, seconds)
            case ["hears", user]:
                return await self._heard(user)
        return "done"

    async def _until(self, instance: int, user: str, wanted: str) -> str | None:
        async for answer in self._answers(instance, user, self._patience_s):
            if answer == wanted:
                return answer
        return None

    async def _stays(self, instance: int, user: str, wanted: str, seconds: float) -> str | None:
        async for answer in self._answers(instance, user, seconds):
            if answer != wanted:
                return None
        return wanted

    async def _answers(self, instance: int, user: str, seconds: float) -> AsyncIterator[str]:
        http = await self._lab.http("watcher", instance=instance)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            reply = await http.get("/api/v1/presence", params={"user_ids": user})
            yield "online" if reply.json()[user] else "offline"
            await asyncio.sleep(ASK_EVERY_S)

    async def _heard(self, user: str) -> str | None:
        try:
            frame = await self._watcher.expect("user_offline", timeout=self._patience_s, user_id=user)
        except AssertionError:
            return None
        return str(frame["action"])


@within(30)
async def drive_server(subject: Any, case: Case) -> Observation:
    """Starts two servers with the learner's class and takes the steps."""
    (_, lease_s), *steps = case
    parts = {"presence_manager": plugged_in(subject)}
    settings = {"PRESENCE_LEASE_S": lease_s}
    async with Lab(instances=2, overrides=parts, settings=settings, traced=False) as lab:
        scene = Scene(lab, lease_s, await lab.client("watcher", instance=0))
        seen: Observation = ["started"]
        for step in steps:
            seen.append(await scene.take(step))
            if seen[-1] is None:
                break
    return seen
