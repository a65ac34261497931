"""Sockets that have come in and have not said yet who they are."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from reference_impl.model.errors import ConnectionLimitExceeded

MIN_WAITING = 50


class WaitingRoom:
    """Bounds how many may wait, in all and from one address. Nobody waits for long: see ``api/sign_in.py``."""

    def __init__(self, *, most: int, most_per_address: int) -> None:
        self.refused = 0
        """Sockets that found it full, since the start."""
        self.nameless = 0
        """Sockets that left it without having said who they are, since the start."""
        self._most = most
        self._most_per_address = most_per_address
        self._waiting: Counter[str] = Counter()

    def __len__(self) -> int:
        """Sockets that wait now."""
        return self._waiting.total()

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place while the block runs. Raises ``ConnectionLimitExceeded``; what the block raises is counted."""
        if len(self) >= self._most or self._waiting[address] >= self._most_per_address:
            self.refused += 1
            raise ConnectionLimitExceeded("too many sockets wait to be signed in; try again in a few seconds")
        self._waiting[address] += 1
        try:
            yield
        except BaseException:
            self.nameless += 1
            raise
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
