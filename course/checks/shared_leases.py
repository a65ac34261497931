"""The store that the instances of exercise 5 share. It keeps what it is told, and knows no clock."""

import asyncio


class SharedLeases:
    """Keeps leases. Each call takes a turn of the loop, as a round trip would; what it does is one step."""

    def __init__(self) -> None:
        self.ends: dict[str, dict[str, float]] = {}

    async def put(self, user_id: str, connection_id: str, ends_at: float) -> None:
        """Writes a lease, over an older one of the same connection."""
        await asyncio.sleep(0)
        self.ends.setdefault(user_id, {})[connection_id] = ends_at

    async def remove(self, user_id: str, connection_id: str) -> int | None:
        """Removes a lease. Returns how many the user has left; None if this one was not there."""
        await asyncio.sleep(0)
        leases = self.ends.get(user_id, {})
        if connection_id not in leases:
            return None
        del leases[connection_id]
        if not leases:
            del self.ends[user_id]
        return len(leases)

    async def leases(self, user_id: str) -> dict[str, float]:
        """Connection → end, also of those that are over."""
        await asyncio.sleep(0)
        return dict(self.ends.get(user_id, {}))

    async def users(self) -> list[str]:
        """Who has a lease here."""
        await asyncio.sleep(0)
        return list(self.ends)

    def forget(self) -> None:
        """All data is lost."""
        self.ends.clear()
