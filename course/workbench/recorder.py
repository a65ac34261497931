"""The hops of a message, collected from all processes and put in order."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from reference_impl.core.trace import Hop

_decoder = msgspec.json.Decoder(Hop)

SETTLE_DEADLINE_S = 0.5
QUIET_MS = 10
LONGEST_FRAME = 2_000
"""Characters of a frame that are kept."""

KEPT_FRAMES = 5_000


class LabRecorder:
    """Keeps the clients' hops and reads the instances' ones, all on the machine's one monotonic clock."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []
        """What clients did and what was done to the system, as it happened."""
        self.hears_all = False
        """Whether clients also note what is no message: who came, who types. A live view asks for it."""
        self._numbers: dict[int, int] = {}
        self._with_frames: deque[int] = deque()  # places in ``hops``

    def note(
        self,
        hop: str,
        client: Any,
        *,
        message_id: str | None = None,
        client_message_id: str | None = None,
        t: int | None = None,
        **detail: Any,
    ) -> None:
        """Notes what a client did; ``t`` is when, if not now. A ``frame`` in the detail is cut to a readable size."""
        if hop == "client_heard" and not self.hears_all:
            return
        if "frame" in detail:
            detail["frame"] = shortened(detail["frame"])
            self._make_room_for_a_frame()
        self.hops.append(
            Hop(
                t=t if t is not None else time.monotonic_ns(),
                instance=f"instance-{client.instance}",
                hop=hop,
                message_id=message_id,
                client_message_id=client_message_id,
                conversation_id=client.conversation_id,
                user_id=client.user,
                connection_id=client.connection_id,
                detail={"client": self.number_of(client)} | detail,
            )
        )

    def _make_room_for_a_frame(self) -> None:
        """Of many clients that get many messages, the newest frames are kept; the hops without them stay."""
        self._with_frames.append(len(self.hops))
        if len(self._with_frames) > KEPT_FRAMES:
            self.hops[self._with_frames.popleft()].detail.pop("frame", None)

    def fault(self, name: str, where: str, **detail: Any) -> None:
        """Notes what was done to the system: ``kill`` at ``instance-1``, ``pause`` at ``Redis``."""
        fault = {"name": name} | detail
        self.hops.append(Hop(t=time.monotonic_ns(), instance=where, hop="fault", detail=fault))

    def last_fault(self, where: str, names: Sequence[str]) -> str | None:
        """The last one of these at a place."""
        faults = (hop.detail["name"] for hop in reversed(self.hops) if hop.hop == "fault" and hop.instance == where)
        return next((name for name in faults if name in names), None)

    def command(self, t: int, instance: str, command: str, carries: list[str]) -> None:
        """Notes a command that Redis has got from an instance, and the ids in it."""
        detail = {"command": command, "carries": carries}
        self.hops.append(Hop(t=t, instance=instance, hop="redis_command", detail=detail))

    def number_of(self, client: Any) -> int:
        """In the order in which they were first heard of. The lab keeps its clients, so none takes another's place."""
        return self._numbers.setdefault(id(client), len(self._numbers) + 1)

    def hops_of(self, message_id: str, client_message_id: str | None, files: Iterable[Path]) -> list[Hop]:
        """All hops of one message, by time. Before it is stored, a message is known by its sender's name for it."""
        hops = [*self.hops, *(hop for path in files for hop in read_hops(path))]
        mine = [
            hop
            for hop in hops
            if hop.message_id == message_id
            or (client_message_id and hop.message_id is None and hop.client_message_id == client_message_id)
        ]
        return sorted(mine, key=lambda hop: hop.t)

    def settled_hops_of(
        self, message_id: str, client_message_id: str | None, files: list[Path], clients: list[Any]
    ) -> list[Hop]:
        """``hops_of``, once the message has been written to each of ``clients``, or was kept from them on purpose.

        The receiver next door may be faster than the sender's own instance; asked in between, two runs of one
        experiment would differ. Waits ``SETTLE_DEADLINE_S`` at most: a message that never arrives is what a lesson
        may be about. Clients that came after the message are not waited for.
        """
        end = time.monotonic() + SETTLE_DEADLINE_S
        while True:
            hops = self.hops_of(message_id, client_message_id, files)
            if _are_settled(hops, clients) or time.monotonic() > end:
                return hops
            time.sleep(QUIET_MS / 2000)  # other processes write: there is nothing to wait on


def shortened(frame: str | bytes) -> str:
    """A frame as text, of a size that can be kept and read."""
    text = frame if isinstance(frame, str) else frame.decode(errors="replace")
    return text if len(text) <= LONGEST_FRAME else f"{text[:LONGEST_FRAME]}… {len(text) - LONGEST_FRAME} more"


def _are_settled(hops: list[Hop], clients: list[Any]) -> bool:
    if not hops:
        return False
    reached = {hop.connection_id for hop in hops if hop.hop in ("written", "excluded")}
    here = {hop.conversation_id for hop in hops}
    for client in clients:
        was_there = client.conversation_id in here and client.connected_at < hops[0].t
        if was_there and client.connection_id not in reached:
            return False
    return time.monotonic_ns() - hops[-1].t > QUIET_MS * 1_000_000


def read_hops(path: Path) -> list[Hop]:
    """The hops in one instance's file. A last line that is only half there is left for the next time."""
    whole_lines = path.read_bytes().rpartition(b"\n")[0]
    return [_decoder.decode(line) for line in whole_lines.splitlines()]
