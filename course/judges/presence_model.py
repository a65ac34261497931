"""What a right presence manager leads to: leases on a clock moved by hand."""

from typing import Any

from course.checks.ex05_presence import INSTANCES


class Model:
    """What the store holds, if everybody does right; and who holds what."""

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self.now = 0.0
        self.ends: dict[tuple[str, str], float] = {}  # (user, connection) -> the end of its lease
        self.over: set[tuple[str, str]] = set()
        self.held: dict[str, set[tuple[str, str]]] = {name: set() for name in INSTANCES}
        self.perhaps: set[str] = set()
        """Told as gone by a goodbye, while an older lease of theirs is still there: once more does no harm."""

    def online(self, user: str) -> bool:
        """Whether a lease of theirs is not over."""
        return any(end > self.now for (owner, _), end in self.ends.items() if owner == user)

    def add(self, name: str, user: str, connection: str) -> bool:
        """``was_online``."""
        was_online = self.online(user)
        self.held[name].add((user, connection))
        self._write(user, connection)
        return was_online

    def remove(self, name: str, user: str, connection: str) -> bool:
        """Whether the user is still online."""
        self.held[name].discard((user, connection))
        self.ends.pop((user, connection), None)
        if not self.online(user):
            self.perhaps |= {owner for owner, _ in self.ends if owner == user}
        return self.online(user)

    def renew(self, name: str) -> None:
        """All leases of this instance, new from now."""
        for user, connection in self.held[name]:
            self._write(user, connection)

    def _write(self, user: str, connection: str) -> None:
        self.ends[user, connection] = self.now + self.lease_s
        self.over.discard((user, connection))
        self.perhaps.discard(user)

    def expire(self) -> tuple[set[str], set[str]]:
        """Who has to be told as gone, and who may be."""
        over = {lease for lease, end in self.ends.items() if end <= self.now}
        self.over |= over
        for lease in over:
            del self.ends[lease]
        gone = {user for user, _ in over if not self.online(user)}
        perhaps, self.perhaps = self.perhaps, set()
        return gone - perhaps, gone

    def take(self, step: list[Any]) -> None:
        """The steps that have no answer."""
        match step:
            case ["renew", name]:
                self.renew(name)
            case ["wait", seconds]:
                self.now += seconds
            case ["kill", name]:
                self.held[name] = set()
            case ["store_forgets"]:
                self.ends.clear()
                self.perhaps.clear()
