"""The Redis of a lab, and what can be done to it."""

import asyncio
from collections.abc import Callable
from typing import Any

from course.errors import UserError
from course.workbench.fault_proxy import FaultProxy
from course.workbench.redis_monitor import NoteCommand, RedisMonitor, state_of
from course.workbench.redis_server import RedisChoice, RedisServer
from course.workbench.views.redis_state import RedisState


def note_nothing(*_what: Any, **_detail: Any) -> None:
    """For a Redis that nobody draws."""


class LabRedis:
    """``lab.redis``: stops, forgets, restarts; and each instance's link to it breaks, freezes, slows and loses.

    ``instance`` None means all of them. What concerns the server itself needs a server that the lab runs: these
    raise ``UserError`` otherwise.
    """

    def __init__(
        self,
        server: RedisServer,
        links: dict[int, FaultProxy],
        *,
        prefix: str = "",
        name_of: Callable[[str], str] = str,
        note_fault: Callable[..., None] = note_nothing,
        note_command: NoteCommand = note_nothing,
    ) -> None:
        """``prefix`` is that of the lab's keys; ``name_of`` puts names for ids in a text.

        ``note_fault`` and ``note_command`` are told what is done and where, for whoever draws it.
        """
        self._server = server
        self._links = links
        self._prefix = prefix
        self._name_of = name_of
        self._note = note_fault
        self._note_command = note_command

    @property
    def url(self) -> str:
        """Where it is, for clients of your own: past the links that can be broken."""
        return self._server.url

    @property
    def choice(self) -> RedisChoice:
        """Which Redis it is."""
        return self._server.choice

    @property
    def pid(self) -> int | None:
        """The server's process id, if the lab runs it."""
        return self._server.pid

    # -- the server ------------------------------------------------------------------------------------------

    async def pause(self) -> None:
        """It keeps its connections and answers nothing, as a server that hangs."""
        self._note("pause", "Redis")
        await self._server.pause()

    async def resume(self) -> None:
        """It goes on where it was."""
        await self._server.resume()
        self._note("resume", "Redis")

    async def flush(self) -> None:
        """It forgets everything it holds: FLUSHALL. Connections and subscriptions stay."""
        self._note("flush", "Redis")
        await self._server.flush()

    async def restart(self) -> None:
        """It is killed and started again at the same address, with nothing in it."""
        self._note("restart", "Redis")
        await self._server.restart()

    # -- looking ---------------------------------------------------------------------------------------------

    def monitor(self) -> RedisMonitor:
        """The commands of the instances, one by one: ``async with lab.redis.monitor() as seen: …``."""
        self._chosen(None)
        return RedisMonitor(self.url, self._links, prefix=self._prefix, name_of=self._name_of, note=self._note_command)

    async def keys(self) -> RedisState:
        """The lab's keys and channels at this moment."""
        return await state_of(self.url, self._prefix, self._name_of)

    # -- the links -------------------------------------------------------------------------------------------

    async def cut(self, instance: int | None = None) -> None:
        """The link breaks, and cannot be made again until ``restore``."""
        await asyncio.gather(*(link.cut() for link in self._chosen(instance, "cut")))

    async def restore(self, instance: int | None = None) -> None:
        """The link is whole, quick and loses nothing."""
        for link in self._chosen(instance, "restore"):
            link.restore()

    async def freeze(self, instance: int | None = None) -> None:
        """The link stays, and nothing passes: a cable that was pulled looks like this."""
        for link in self._chosen(instance, "freeze"):
            link.freeze()

    async def thaw(self, instance: int | None = None) -> None:
        """What was held passes."""
        for link in self._chosen(instance, "thaw"):
            link.thaw()

    async def slow(self, delay_s: float, instance: int | None = None) -> None:
        """Each direction takes ``delay_s`` seconds longer; 0 ends it."""
        for link in self._chosen(instance, "slow", delay_s=delay_s):
            link.slow(delay_s)

    async def drop_next(self, count: int = 1, instance: int | None = None) -> None:
        """The next ``count`` published messages do not arrive."""
        for link in self._chosen(instance, "drop_next", count=count):
            link.drop_next(count)

    def dropped(self, instance: int | None = None) -> int:
        """Published messages that were dropped so far."""
        return sum(link.dropped for link in self._chosen(instance))

    def _chosen(self, instance: int | None, fault: str | None = None, **detail: Any) -> list[FaultProxy]:
        """The links that are meant; what is done to them is noted."""
        if not self._links:
            why = "they are encrypted, go to a cluster, or the lab was started with traced=False"
            raise UserError(f"the links to {self.url} can not be broken: {why}")
        if instance is not None and instance not in self._links:
            raise UserError(f"there is no instance {instance}; this lab has 0 to {len(self._links) - 1}")
        numbers = list(self._links) if instance is None else [instance]
        for number in numbers:
            is_news = fault not in ("restore", "thaw") or self._links[number].is_disturbed
            if fault is not None and is_news:
                self._note(fault, f"instance-{number}", link=True, **detail)
        return [self._links[number] for number in numbers]
