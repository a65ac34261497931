"""The load: bare sockets in this process, which count messages without reading them.

A member looks for the mark of a message in what it gets, and keeps the bytes. Who got what, in which order, is
looked up when the measurement is over: the generator must cost little beside what it measures.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from benchmarks import wire
from benchmarks.figures import MARK, Faults, faults, received
from benchmarks.plan import PACED_DELIVERIES, Scenario
from course.errors import UserError

CONNECT_DEADLINE_S = 60.0
FINISH_DEADLINE_S = 30.0
AT_ONCE = 32
QUIET_S = 0.2
FIRST = 3
TEXT_BYTES = 117
"""With all that is around it, a message has 200 bytes of JSON."""


@dataclass(frozen=True)
class Entry:
    """How one member connects. ``greet`` is given each text of the server until one ends with True in the pair
    (what to answer, whether it is in the room now); None: it is in once the handshake is over."""

    port: int
    request: bytes
    greet: Callable[[bytes], tuple[bytes | None, bool]] | None = None


class Member(asyncio.Protocol):
    """One socket."""

    def __init__(self, entry: Entry, room: "Room") -> None:
        self._entry = entry
        self._room = room
        self._early: bytes | None = b""
        self._transport: asyncio.Transport | None = None
        self._last = b""
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.chunks: list[bytes] = []
        self.arrivals: list[tuple[float, int]] = []
        self.count = 0
        self.heard_at = 0.0
        self.hung_up: UserError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._transport.write(self._entry.request)

    def data_received(self, data: bytes) -> None:
        """Counts. The mark may be cut in two by a read's end."""
        self.heard_at = time.perf_counter()
        if self._early is not None:
            self._join(data)
            return
        self.chunks.append(data)
        fresh = data.count(MARK)
        if self._last == MARK[:1] and data[:1] == MARK[1:]:
            fresh += 1
        self._last = data[-1:]
        if fresh:
            self.arrivals.append((self.heard_at, fresh))
            self._room.arrived(self.count, self.count + fresh)
            self.count += fresh

    def connection_lost(self, exc: Exception | None) -> None:
        """A member that has to wait for nothing any more says so."""
        self._transport = None
        said = exc or (self._early or b"".join(self.chunks[-2:]))[-120:]
        self.hung_up = UserError(f"the server hung up on a member: {said!r}", 1)
        if not self.joined.done():
            self.joined.set_exception(self.hung_up)

    def send(self, text: bytes) -> None:
        """One message."""
        if self._transport is not None:
            self._transport.write(wire.client_frame(text))

    def close(self) -> None:
        """Without a goodbye. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        if not self.joined.done():
            self.joined.cancel()

    def _join(self, data: bytes) -> None:
        self._early = (self._early or b"") + data
        if self._early.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in self._early:
            _, _, self._early = self._early.partition(b"\r\n\r\n")
            if self._entry.greet is None:
                self._in()
                return
        elif self._early.startswith(b"HTTP/1.1") and b"\r\n\r\n" in self._early:
            self.joined.set_exception(UserError(f"the server refused: {self._early.splitlines()[0].decode()}"))
            self.close()
            return
        while self._early and not self._early.startswith(b"HTTP") and (frame := wire.take_frame(self._early)):
            opcode, payload, self._early = frame
            if opcode == wire.TEXT and self._entry.greet is not None:
                answer, is_in = self._entry.greet(payload)
                if answer is not None:
                    self.send(answer)
                if is_in:
                    self._in()
                    return

    def _in(self) -> None:
        rest, self._early = self._early, None
        if not self.joined.done():
            self.joined.set_result(None)
        if rest:
            self.data_received(rest)


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
        self, scenario: Scenario, compose: Callable[[str], bytes], *, hears_itself: bool, ack: bytes | None
    ) -> None:
        """``compose`` makes a message of a text; ``ack`` is in each answer to a sender."""
        self.scenario = scenario
        self._ack = ack
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
                        member = Member(entry(room.number, number), room)
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
