"""The load: rooms of bare sockets in this process, which send, and wait for the last delivery."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.figures import Faults, faults, received
from benchmarks.member import Entry, Member
from benchmarks.plan import PACED_DELIVERIES, Scenario
from course.errors import UserError

CONNECT_DEADLINE_S = 60.0
FINISH_DEADLINE_S = 30.0
AT_ONCE = 32
QUIET_S = 0.2
FIRST = 3
TEXT_BYTES = 117
"""With all that is around it, a message has 200 bytes of JSON."""


@dataclass
class Room:
    """One room: its first member sends, all others receive, and it too where servers echo."""

    number: int
    compose: Callable[[str], bytes]
    hears_itself: bool
    on_done: Callable[["Room"], None]
    members: list[Member] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    done: int = 0
    measured_from: int = 0

    @property
    def receivers(self) -> list[Member]:
        """Who is to get each message."""
        return self.members if self.hears_itself else self.members[1:]

    def send(self) -> None:
        """The next message."""
        number = len(self.sent_at)
        self.left.append(len(self.receivers))
        text = self.compose(f"#{number:08d}#".ljust(TEXT_BYTES, "x"))
        self.sent_at.append(time.perf_counter())
        self.members[0].send(text)

    def arrived(self, first: int, end: int) -> None:
        """A member got as many as it has not had before."""
        for number in range(first, min(end, len(self.left))):
            self.left[number] -= 1
            if self.left[number] == 0:
                self.done += 1
                self.on_done(self)

    def faults(self, ack: bytes | None) -> Faults:
        """What all members got, compared with what was sent."""
        found = sum((faults(received(one.chunks), len(self.sent_at)) for one in self.receivers), Faults())
        return found + Faults(unacked=max(0, len(self.sent_at) - self.acks(ack)) if ack else 0)

    def acks(self, ack: bytes) -> int:
        """How many answers the sender has."""
        return b"".join(self.members[0].chunks).count(ack)


class Generator:
    """All rooms of one scenario: connects, sends, waits for the last delivery."""

    def __init__(
        self,
        scenario: Scenario,
        compose: Callable[[str], bytes],
        *,
        hears_itself: bool,
        ack: bytes | None,
        member: Callable[[Entry, Callable[[int, int], None]], Member] = Member,
    ) -> None:
        """``compose`` makes a message of a text; ``ack`` is in each answer to a sender; ``member`` makes a socket."""
        self.scenario = scenario
        self._ack = ack
        self._member = member
        self._ends_at = 0.0
        self._moved = asyncio.Event()
        self.rooms = [Room(number, compose, hears_itself, self._done) for number in range(scenario.rooms)]

    async def connect(self, entry: Callable[[int, int], Entry]) -> None:
        """Connects a sender and the members of each room, and waits until nothing more comes. Raises ``UserError``."""
        gate = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S), asyncio.TaskGroup() as connecting:
                for room in self.rooms:
                    for number in range(self.scenario.members + (not room.hears_itself)):
                        member = self._member(entry(room.number, number), room.arrived)
                        room.members.append(member)
                        connecting.create_task(_connect(member, gate, entry(room.number, number).port))
        except TimeoutError:
            raise UserError(f"not all members were connected in {CONNECT_DEADLINE_S:.0f} s", 1) from None
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        await self._quiet()
        self._require_all()

    async def warm_up(self, seconds: float) -> None:
        """Some messages one after the other, then as many as will be measured. None of them counts.

        Raises ``UserError`` when the first ones do not arrive.
        """
        for _ in range(FIRST):
            for room in self.rooms:
                room.send()
            await self._finish()
        self._require_all()
        if any(room.done < FIRST for room in self.rooms):
            raise UserError("the first messages did not reach everybody", 1)
        await self.run(seconds)
        for room in self.rooms:
            room.measured_from = len(room.sent_at)

    async def run(self, seconds: float) -> None:
        """Sends for that long, and returns when all has arrived, or its time is over."""
        self._ends_at = time.perf_counter() + seconds
        if self.scenario.outstanding:
            for room in self.rooms:
                for _ in range(self.scenario.outstanding):
                    room.send()
        else:
            await self._pace()
        await asyncio.sleep(max(0.0, self._ends_at - time.perf_counter()))
        await self._finish()
        self._require_all()

    def latencies(self) -> list[float]:
        """Of all deliveries after the warm-up, in ms."""
        found: list[float] = []
        for room in self.rooms:
            for member in room.receivers:
                number = 0
                for at, fresh in member.arrivals:
                    sent = room.sent_at[max(number, room.measured_from) : number + fresh]
                    found.extend(1000 * (at - sent_at) for sent_at in sent)
                    number += fresh
        return found

    def faults(self) -> Faults:
        """Of all rooms."""
        return sum((room.faults(self._ack) for room in self.rooms), Faults())

    def totals(self) -> tuple[int, int]:
        """Messages sent and deliveries made so far."""
        messages = sum(len(room.sent_at) for room in self.rooms)
        return messages, sum(one.count for room in self.rooms for one in room.receivers)

    def close(self) -> None:
        """Idempotent."""
        for room in self.rooms:
            for member in room.members:
                member.close()

    def _done(self, room: Room) -> None:
        if time.perf_counter() < self._ends_at and self.scenario.outstanding:
            room.send()
        else:
            self._moved.set()

    async def _pace(self) -> None:
        """Evenly over the rooms and the time."""
        self._moved.clear()
        step = self.scenario.members / PACED_DELIVERIES
        started, number = time.perf_counter(), 0
        while (due := started + number * step) < self._ends_at:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.rooms[number % len(self.rooms)].send()
            number += 1

    async def _finish(self) -> None:
        end = time.perf_counter() + FINISH_DEADLINE_S
        while not self._is_finished() and (left := end - time.perf_counter()) > 0:
            self._moved.clear()
            try:
                async with asyncio.timeout(min(left, 0.05)):
                    await self._moved.wait()
            except TimeoutError:
                if time.perf_counter() - self._last_heard() > FINISH_DEADLINE_S / 5:
                    return  # nothing comes any more

    def _require_all(self) -> None:
        for room in self.rooms:
            for member in room.members:
                if member.hung_up is not None:
                    raise member.hung_up

    def _is_finished(self) -> bool:
        if any(room.done < len(room.sent_at) for room in self.rooms):
            return False
        return self._ack is None or all(room.acks(self._ack) >= len(room.sent_at) for room in self.rooms)

    def _last_heard(self) -> float:
        return max(one.heard_at for room in self.rooms for one in room.members)

    async def _quiet(self) -> None:
        """Until the news about who came is read by everybody."""
        end = time.perf_counter() + FINISH_DEADLINE_S
        started = time.perf_counter()
        while time.perf_counter() < end:
            await asyncio.sleep(QUIET_S / 2)
            if time.perf_counter() - max(started, self._last_heard()) > QUIET_S:
                break
        for room in self.rooms:
            for member in room.members:
                member.chunks.clear()


async def _connect(member: Member, gate: asyncio.Semaphore, port: int) -> None:
    async with gate:
        await asyncio.get_running_loop().create_connection(lambda: member, "127.0.0.1", port)
        await member.joined
