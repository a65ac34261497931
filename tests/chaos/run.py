"""One chaos run: clients that talk, a schedule of faults, and a verdict."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.client import ChaosClient
from tests.chaos.director import Director
from tests.chaos.kill_points import last_words
from tests.chaos.ledger import Ledger, Verdict
from tests.chaos.schedule import make_schedule
from tests.chaos.target import Target

CATCH_UP_DEADLINE_S = 60.0
SETTLED_S = 2.0
"""Without a store nobody knows when all is there: the control gets this long after the last fault."""


@dataclass(frozen=True)
class Plan:
    """The size of a run. ``per_second`` is the rate of sends by all clients together."""

    seed: int
    clients: int
    messages: int
    conversations: int = 4
    instances: int = 2
    rounds: int = 1
    per_second: float = 100


@dataclass
class Report:
    """What happened."""

    plan: Plan
    verdict: Verdict
    faults: list[str]
    reconnects: int
    snapshots: int
    dropped_frames: int
    seconds: float
    catch_up_s: float
    """From the end of the last fault until every client had everything."""
    incomplete: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing was lost, doubled, reordered or invented, and everybody caught up."""
        return self.verdict.is_clean and not self.incomplete

    def __str__(self) -> str:
        plan, verdict = self.plan, self.verdict
        counts = ", ".join(f"{name} {verdict.count(name)}" for name in ("lost", "duplicate", "out of order", "phantom"))
        examples = Counter(finding.verdict for finding in verdict.findings)
        first = [str(next(one for one in verdict.findings if one.verdict == kind)) for kind in examples]
        return "\n".join(
            [
                f"seed {plan.seed}: {plan.instances} instances, {plan.clients} clients, {verdict.acked} acked messages,"
                f" {verdict.deliveries} deliveries, {len(self.faults)} faults in {self.seconds:.1f} s",
                f"{counts}; {self.reconnects} reconnects, {self.snapshots} snapshots, {verdict.repeats} repeats,"
                f" {self.dropped_frames} frames dropped by the links; all complete after {self.catch_up_s:.1f} s",
                *(f"  {fault}" for fault in self.faults),
                *(f"  for example {one}" for one in first),
                *(f"  never complete: {user}" for user in self.incomplete[:5]),
            ]
        )


async def run_chaos(target: Target, plan: Plan, *, on_progress: Callable[[int], None] = lambda _acked: None) -> Report:
    """Plays ``plan`` on a started ``target``."""
    run = _Run(target, plan, on_progress)
    return await run.play()


class _Run:
    def __init__(self, target: Target, plan: Plan, on_progress: Callable[[int], None]) -> None:
        self._target = target
        self._plan = plan
        self._on_progress = on_progress
        self._dice = random.Random(plan.seed)
        self._ledger = Ledger()
        self._clients: list[ChaosClient] = []
        self._to_send = iter(range(plan.messages))
        self._conversation_ids: list[str] = []
        self._started = time.monotonic()

    async def play(self) -> Report:
        plan = self._plan
        await self._open()
        director = Director(self._target, self._clients, lambda: len(self._ledger.acked), self._dice)
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.run(), name=client.user)
            schedule = make_schedule(plan.seed, messages=plan.messages, instances=plan.instances, rounds=plan.rounds)
            async with asyncio.TaskGroup() as work:
                work.create_task(director.play(schedule), name="director")
                for client in self._clients:
                    work.create_task(self._talk(client, director), name=f"talk of {client.user}")
            ended = time.monotonic()
            incomplete = await self._catch_up()
            for client in self._clients:
                client.stop()
        return Report(
            plan=plan,
            verdict=self._ledger.judge(),
            faults=director.played,
            reconnects=sum(client.reconnects for client in self._clients),
            snapshots=sum(client.snapshots for client in self._clients),
            dropped_frames=self._target.redis.dropped(),
            seconds=time.monotonic() - self._started,
            catch_up_s=time.monotonic() - ended,
            incomplete=incomplete,
        )

    async def _open(self) -> None:
        """Every user in one conversation; one in twenty is an observer, on all of them with one connection."""
        plan = self._plan
        titles = [f"room-{number}" for number in range(plan.conversations)]
        observers = [f"observer-{number}" for number in range(max(1, plan.clients // 20))]
        talkers = [f"user-{number}" for number in range(plan.clients - len(observers))]
        members = {title: [*talkers[n :: len(titles)], *observers] for n, title in enumerate(titles)}
        ids = await self._target.open_conversations(members)
        self._conversation_ids = list(ids.values())
        places: dict[str, tuple[str, ...]]
        places = {user: (ids[title],) for title, users in members.items() for user in users}
        places |= dict.fromkeys(observers, tuple(self._conversation_ids))
        for user, place in places.items():
            dice = random.Random(f"{plan.seed} {user}")
            token = await self._target.token(user)
            self._clients.append(ChaosClient(user, token, place, self._target.addresses, self._ledger, dice))

    async def _talk(self, client: ChaosClient, director: Director) -> None:
        """Sends its share, at its pace."""
        dice = random.Random(f"{self._plan.seed} {client.user} talks")
        pause = self._plan.clients / self._plan.per_second
        await asyncio.sleep(dice.uniform(0, pause))
        for number in self._to_send:
            text = last_words(director.dying.pop(), number) if director.dying else f"message {number}"
            await client.send(text)
            self._on_progress(len(self._ledger.acked))
            await asyncio.sleep(dice.uniform(0.5, 1.5) * pause)

    async def _catch_up(self) -> list[str]:
        """Waits until everybody has everything; returns who never did."""
        await self._target.read_history(self._ledger, self._conversation_ids)
        if not self._ledger.history:
            await asyncio.sleep(SETTLED_S)
            return []
        heads = {name: len(messages) for name, messages in self._ledger.history.items()}
        waiting = {asyncio.create_task(client.until_complete(heads), name=client.user) for client in self._clients}
        _, late = await asyncio.wait(waiting, timeout=CATCH_UP_DEADLINE_S)
        for one in late:
            one.cancel()
        return sorted(one.get_name() for one in late)
