"""Makes the faults of a schedule happen, and ends each of them."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.chaos.client import ChaosClient
from tests.chaos.schedule import Fault
from tests.chaos.target import Target

LONGEST_FAULT_S = 4.0
"""A fault ends after so much time even if nobody makes progress: it may be what stops the progress."""

DEATH_DEADLINE_S = 30.0
ASK_AGAIN_S = 2.0
DRAIN_DEADLINE_S = 15.0
LOOK_S = 0.01


class Director:
    """Watches the number of acked messages and plays the schedule by it."""

    def __init__(
        self, target: Target, clients: Sequence[ChaosClient], progress: Callable[[], int], dice: random.Random
    ) -> None:
        self.played: list[str] = []
        self.dying: list[str] = []
        """Kill points that wait for a message; the next sender takes one with it."""
        self._target = target
        self._clients = clients
        self._progress = progress
        self._dice = dice
        self._processes = asyncio.Lock()  # one instance at a time is down
        self._server = asyncio.Lock()

    async def play(self, schedule: Sequence[Fault]) -> None:
        """Returns when every fault has begun and ended, and everything is whole again."""
        async with asyncio.TaskGroup() as faults:
            for fault in schedule:
                faults.create_task(self._play(fault), name=str(fault))
        await self._revive()
        await self._target.redis.restore()
        await self._target.redis.thaw()
        for client in self._clients:
            client.resume_reading()

    async def _play(self, fault: Fault) -> None:
        await self._reached(fault.at)
        family = "die" if fault.kind.startswith("die_") else fault.kind
        await getattr(self, f"_{family}")(fault)
        self.played.append(str(fault))

    async def _reached(self, acked: int) -> None:
        while self._progress() < acked:  # noqa: ASYNC110 - progress is made in many places
            await asyncio.sleep(LOOK_S)

    async def _for_its_time(self, fault: Fault) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_FAULT_S):
                await self._reached(fault.until)

    # -- instances -------------------------------------------------------------------------------------------

    async def _kill(self, fault: Fault) -> None:
        async with self._processes:
            await self._target.cluster.instance(fault.instance).kill()
            await self._for_its_time(fault)
            await self._revive()

    async def _die(self, fault: Fault) -> None:
        async with self._processes:
            await self._until_one_dies(fault.kind.removeprefix("die_"))
            await self._for_its_time(fault)
            await self._revive()

    async def _until_one_dies(self, point: str) -> None:
        """A message may miss its point: while Redis is away, the sweep announces it. Then the next one is asked."""
        async with asyncio.timeout(DEATH_DEADLINE_S):
            while True:
                self.dying.append(point)
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASK_AGAIN_S):
                        while all(one.is_running for one in self._target.cluster.instances):  # noqa: ASYNC110
                            await asyncio.sleep(LOOK_S)
                        return

    async def _rolling_restart(self, fault: Fault) -> None:
        async with self._processes:
            for instance in self._target.cluster.instances:
                await instance.drain(DRAIN_DEADLINE_S)
                await instance.start()

    async def _revive(self) -> None:
        for instance in self._target.cluster.instances:
            if not instance.is_running:
                await instance.kill()  # it is dead; this clears away
                await instance.start()

    # -- links and Redis -------------------------------------------------------------------------------------

    async def _cut(self, fault: Fault) -> None:
        await self._target.redis.cut(fault.instance)
        await self._for_its_time(fault)
        await self._target.redis.restore(fault.instance)

    async def _freeze(self, fault: Fault) -> None:
        await self._target.redis.freeze(fault.instance)
        await self._for_its_time(fault)
        await self._target.redis.thaw(fault.instance)

    async def _slow(self, fault: Fault) -> None:
        await self._target.redis.slow(fault.amount, fault.instance)
        await self._for_its_time(fault)
        await self._target.redis.slow(0, fault.instance)

    async def _drop(self, fault: Fault) -> None:
        await self._target.redis.drop_next(int(fault.amount), fault.instance)

    async def _redis_pause(self, fault: Fault) -> None:
        async with self._server:
            await self._target.redis.pause()
            await self._for_its_time(fault)
            await self._target.redis.resume()

    async def _redis_flush(self, fault: Fault) -> None:
        async with self._server:
            await self._target.redis.flush()

    async def _redis_restart(self, fault: Fault) -> None:
        async with self._server:
            await self._target.redis.restart()

    # -- clients ---------------------------------------------------------------------------------------------

    async def _kill_clients(self, fault: Fault) -> None:
        for client in self._some(fault):
            client.kill()

    async def _stall_clients(self, fault: Fault) -> None:
        stalled = self._some(fault)
        for client in stalled:
            client.stall()
        await self._for_its_time(fault)
        for client in stalled:
            client.resume_reading()

    def _some(self, fault: Fault) -> list[ChaosClient]:
        return self._dice.sample(list(self._clients), max(1, round(len(self._clients) * fault.amount)))
