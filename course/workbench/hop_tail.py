"""Follows the hops of a lab while they are written: its instances' files, and what its clients note."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from reference_impl.core.trace import Hop

HOLD_NS = 50_000_000
"""How long a hop is held back, so that an earlier one from another process can still be put before it."""

LARGEST_READ = 4 * 1024 * 1024

_decode = msgspec.json.Decoder(Hop).decode


class HopTail:
    """``read`` returns what is new, in order of time, from all processes. Reads each byte once."""

    def __init__(self, files: Callable[[], Iterable[Path]], own: list[Hop]) -> None:
        self._files = files
        self._own = own
        self._own_seen = 0
        self._offsets: dict[Path, int] = {}
        self._held: list[Hop] = []

    def read(self, *, everything: bool = False) -> list[Hop]:
        """What is new. The very newest is left for the next time, unless ``everything`` is wanted now."""
        limit = time.monotonic_ns() - HOLD_NS
        self._held += self._own[self._own_seen :]
        self._own_seen = len(self._own)
        for path in self._files():
            self._held += self._read(path)
        self._held.sort(key=lambda hop: hop.t)
        ready = [hop for hop in self._held if everything or hop.t < limit]
        self._held = self._held[len(ready) :]
        return ready

    def _read(self, path: Path) -> list[Hop]:
        """Whole lines from where the last reading ended. A file that is not there has none."""
        offset = self._offsets.get(path, 0)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.read(LARGEST_READ).rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        if lines:
            self._offsets[path] = offset + len(lines) + 1
        return [_decode(line) for line in lines.splitlines()]
