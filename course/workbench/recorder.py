"""The hops of a message, collected from all processes and put in order."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from reference_impl.core.trace import Hop

_decoder = msgspec.json.Decoder(Hop)


class LabRecorder:
    """Keeps the clients' hops and reads the instances' ones, all on the machine's one monotonic clock."""

    def __init__(self) -> None:
        self._hops: list[Hop] = []

    def note(
        self,
        hop: str,
        client: Any,
        *,
        message_id: str | None = None,
        client_message_id: str | None = None,
        t: int | None = None,
    ) -> None:
        """Notes what a client did; ``t`` is when, if not now."""
        self._hops.append(
            Hop(
                t=t if t is not None else time.monotonic_ns(),
                instance=f"instance-{client.instance}",
                hop=hop,
                message_id=message_id,
                client_message_id=client_message_id,
                conversation_id=client.conversation_id,
                user_id=client.user,
                connection_id=client.connection_id,
            )
        )

    def hops_of(self, message_id: str, client_message_id: str | None, files: Iterable[Path]) -> list[Hop]:
        """All hops of one message, by time. Before it is stored, a message is known by its sender's name for it."""
        hops = [*self._hops, *(hop for path in files for hop in read_hops(path))]
        mine = [
            hop
            for hop in hops
            if hop.message_id == message_id
            or (client_message_id and hop.message_id is None and hop.client_message_id == client_message_id)
        ]
        return sorted(mine, key=lambda hop: hop.t)


def read_hops(path: Path) -> list[Hop]:
    """The hops in one instance's file. A last line that is only half there is left for the next time."""
    whole_lines = path.read_bytes().rpartition(b"\n")[0]
    return [_decoder.decode(line) for line in whole_lines.splitlines()]
