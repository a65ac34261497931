"""The parts that the manager of exercise 3 is given. Each call may fail, before or after it has worked, or wait."""

import asyncio
from collections.abc import Callable
from typing import Any

TAKING = ("slots.take", "socket.accept", "presence.add", "router.subscribe")
GIVING_BACK = ("router.unsubscribe", "presence.remove", "socket.close", "slots.release")

Key = tuple[str, ...]


class PartFailed(Exception):
    """What a part raises when its other side is away."""


class LimitReached(Exception):
    """The user has no slot left."""


class Ledger:
    """What is taken now, which calls were made, and what the next calls will do."""

    def __init__(self, slots_per_user: int) -> None:
        self.slots_per_user = slots_per_user
        self.slots: set[Key] = set()
        self.sockets: set[Key] = set()
        self.presence: set[Key] = set()
        self.router: set[Key] = set()
        self.calls: list[str] = []
        self.fails: dict[str, str] = {}
        """Call → "before" it has worked, or "after"."""
        self.waits: dict[str, str] = {}
        """The same, for a call that waits until ``gate`` opens."""
        self.gate = asyncio.Event()
        self.waiting = 0

    async def call(self, name: str, work: Callable[[], None]) -> None:
        """One call of a part."""
        self.calls.append(name)
        await asyncio.sleep(0)
        await self._trouble(name, "before")
        work()
        await self._trouble(name, "after")

    async def _trouble(self, name: str, when: str) -> None:
        if self.waits.get(name) == when:
            self.waiting += 1
            try:
                await self.gate.wait()
            finally:
                self.waiting -= 1
        if self.fails.get(name) == when:
            raise PartFailed(f"{name} failed")

    def held(self) -> dict[str, list[str]]:
        """Part → the names of what is taken there."""
        parts = {"slots": self.slots, "sockets": self.sockets, "presence": self.presence, "router": self.router}
        return {part: sorted(key[-1] for key in keys) for part, keys in parts.items()}


class Slots:
    """So many connections a user, and no more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def take(self, user_id: str, connection_id: str) -> None:
        """Raises ``LimitReached``."""
        await self._ledger.call("slots.take", lambda: self._take((user_id, connection_id)))

    async def release(self, user_id: str, connection_id: str) -> None:
        """One that is free is no error."""
        await self._ledger.call("slots.release", lambda: self._ledger.slots.discard((user_id, connection_id)))

    def _take(self, key: Key) -> None:
        if sum(user_id == key[0] for user_id, _ in self._ledger.slots) >= self._ledger.slots_per_user:
            raise LimitReached(f"{key[0]} has no slot left")
        self._ledger.slots.add(key)


class Presence:
    """Who is online, with which connection."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def add(self, user_id: str, connection_id: str) -> None:
        """Takes a lease."""
        await self._ledger.call("presence.add", lambda: self._ledger.presence.add((user_id, connection_id)))

    async def remove(self, user_id: str, connection_id: str) -> None:
        """Ends a lease, if there is one."""
        await self._ledger.call("presence.remove", lambda: self._ledger.presence.discard((user_id, connection_id)))


class Router:
    """Which connection hears which conversation."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def subscribe(self, conversation_id: str, connection_id: str) -> None:
        """From now on."""
        key = (conversation_id, connection_id)
        await self._ledger.call("router.subscribe", lambda: self._ledger.router.add(key))

    async def unsubscribe(self, conversation_id: str, connection_id: str) -> None:
        """No more."""
        key = (conversation_id, connection_id)
        await self._ledger.call("router.unsubscribe", lambda: self._ledger.router.discard(key))


class Socket:
    """The other end of a connection."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._key = (name,)

    async def accept(self) -> None:
        """The handshake."""
        await self._ledger.call("socket.accept", lambda: self._ledger.sockets.add(self._key))

    async def close(self, *_code_and_reason: Any) -> None:
        """One that is not open is no error."""
        await self._ledger.call("socket.close", lambda: self._ledger.sockets.discard(self._key))
