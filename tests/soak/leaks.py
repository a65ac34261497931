"""Parts of the server that keep what they should let go. The soak must find each of them."""

import asyncio
import os
from typing import Any

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.connection_slots import ConnectionSlots
from reference_impl.core.memberships import Memberships
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.events import UserEvent
from tests.soak.target import ShortLog


class KeepsConnections(ConnectionManager):
    """The usual leak: an object for each socket, and all that hangs on it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.all_that_were: list[Connection | None] = []

    async def disconnect(self, connection_id: str) -> Connection | None:
        self.all_that_were.append(gone := await super().disconnect(connection_id))
        return gone


class KeepsNames(ConnectionSlots):
    """An entry for each user who was ever here: a few bytes, and none for who comes again."""

    async def give_back(self, connection_id: str) -> None:
        slot = self._held.get(connection_id)
        await super().give_back(connection_id)
        if slot is not None:
            self._per_user[slot.user_id] += 0


class KeepsTasks(PresenceManager):
    """A task that waits for who never comes back, and a note in Redis that has no end."""

    async def remove_user_from_online(self, user_id: str, connection_id: str, *, lost: bool = False) -> bool:
        store: Any = self._store
        async with store._link.commands("noting who was here") as redis:
            await redis.set(f"was here:{user_id}", connection_id)
        self.waiting = asyncio.create_task(asyncio.Event().wait())
        return await super().remove_user_from_online(user_id, connection_id, lost=lost)


class KeepsFiles(ShortLog):
    """An open file for each who came or went."""

    def note_connection(self, event: UserEvent) -> None:
        super().note_connection(event)
        os.open(os.devnull, os.O_RDONLY)


class KeepsPages(Memberships):
    """Memory in no table: each piece holds the one before."""

    pages: Any = None

    def look_again(self, user_id: str) -> None:
        super().look_again(user_id)
        self.pages = (self.pages, [f"{user_id} {line}" for line in range(200)])


LEAKS: dict[str, Any] = {
    "connection_manager": KeepsConnections,
    "connection_slots": KeepsNames,
    "presence_manager": KeepsTasks,
    "audit_log": KeepsFiles,
    "memberships": KeepsPages,
}
FOUND_BY = (
    "table KeepsConnections.all_that_were: ",
    "object reference_impl.core.connection.Connection: ",
    "table KeepsNames._per_user: ",
    "tasks: ",
    "keys never end, such as was here:",
    " files more for each socket",
    " blocks more for each socket",
    " KiB more for each socket",
)
"""What is said of them, in this order."""
