"""Tells those who may know who has come and gone."""

import asyncio
import logging

from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import ConversationStore
from reference_impl.model.errors import Unavailable
from reference_impl.model.presence import PresenceChange

logger = logging.getLogger(__name__)

COLLECT_S = 0.1
"""Changes within this time go out together: after a restart everybody comes back at once."""

LISTENERS_BACK_S = 3.0
"""After an outage the instances listen again one by one; what is published before that, the last ones miss."""

LOOK_S = 0.2


class PresenceAnnouncer:
    """Collects changes and publishes them together, each with the conversations whose members may see it.

    Of several changes of one user or one device only the latest is published. While the store or Redis is
    away they wait: what is published then is what is true then.
    """

    def __init__(self, *, router: MessageRouter, conversations: ConversationStore) -> None:
        self._router = router
        self._conversations = conversations
        self._pending: dict[str, PresenceChange] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to publish."""
        self._task = asyncio.create_task(self._publish_forever(), name="presence announcer")

    async def stop(self) -> None:
        """Publishes what is left, if it can, and ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            await self._try_to_publish()

    def announce(self, change: PresenceChange) -> None:
        """Takes a change. Does not wait."""
        self._pending.pop(change.key, None)  # the latest goes last
        self._pending[change.key] = change
        self._changed.set()

    async def _publish_forever(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COLLECT_S)
            await self._until_others_listen()
            self._changed.clear()
            if not await self._try_to_publish():
                await asyncio.sleep(1)
                self._changed.set()

    async def _until_others_listen(self) -> None:
        was_live = self._router.is_live
        while not self._router.is_live:  # noqa: ASYNC110 - the broker has no event for it
            await asyncio.sleep(LOOK_S)
        if not was_live:
            await asyncio.sleep(LISTENERS_BACK_S)

    async def _try_to_publish(self) -> bool:
        pending, self._pending = self._pending, {}
        if not pending:
            return True
        try:
            shared = await self._conversations.memberships([change.user_id for change in pending.values()])
            changes = [(change, sorted(shared[change.user_id])) for change in pending.values()]
            await self._router.publish_presence(changes)
        except Unavailable as error:
            logger.warning("%d presence changes are published later: %s", len(pending), error)
            self._pending = pending | self._pending  # what came meanwhile is newer
            return False
        return True
