"""What every manager holds at a moment, kept up to date by what the hops tell. Pure."""

from collections.abc import Iterable

from course.workbench.views.rows import REDIS, Change

Key = tuple[str, str, str]


class Board:
    """(lane, manager, entry) → what it holds, as people read it. Each alteration is told as a ``Change``."""

    def __init__(self) -> None:
        self._entries: dict[Key, str] = {}

    def __getitem__(self, key: Key) -> str | None:
        return self._entries.get(key)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[tuple[str, str, str, str]]:
        """All of it: lane, manager, entry, value."""
        return [(*key, value) for key, value in self._entries.items()]

    def of(self, lane: str, manager: str) -> dict[str, str]:
        """One manager's entries."""
        return {entry: value for (a, b, entry), value in self._entries.items() if (a, b) == (lane, manager)}

    def put(self, lane: str, manager: str, entry: str, value: str | None) -> list[Change]:
        """Sets an entry, or takes it away with None. No change when it was so."""
        key = (lane, manager, entry)
        before = self._entries.get(key)
        if before == value:
            return []
        if value is None:
            del self._entries[key]
        else:
            self._entries[key] = value
        return [Change(lane, manager, entry, before, value)]

    def count(self, lane: str, manager: str, entry: str, step: int) -> list[Change]:
        """Counts an entry up or down; at zero there is none."""
        number = max(0, int(self._entries.get((lane, manager, entry), "0")) + step)
        return self.put(lane, manager, entry, str(number) if number else None)

    def clear(self, lane: str, managers: Iterable[str] | None = None) -> list[Change]:
        """Takes away all that a lane holds, or what some of its managers do."""
        keys = [key for key in self._entries if key[0] == lane and (managers is None or key[1] in managers)]
        return [change for key in keys for change in self.put(*key, None)]

    def apply(self, changes: Iterable[Change]) -> None:
        """Makes changes that were told elsewhere."""
        for change in changes:
            self.put(change.lane, change.manager, change.entry, change.after)

    def listen(self, conversation: str, instance: str, *, listens: bool) -> list[Change]:
        """Notes in Redis which instances listen to a conversation's channel."""
        now = set((self[(REDIS, "channels", conversation)] or "").split())
        now = now | {instance} if listens else now - {instance}
        return self.put(REDIS, "channels", conversation, " ".join(sorted(now)) or None)
