"""Pub/sub wakes; the store tells the truth. Somebody has to compare the two, in case nothing woke us."""

import asyncio
import logging

from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_router import MessageRouter
from reference_impl.model.errors import Unavailable

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
"""How late a message or a removal may be whose every announcement was lost."""

INTERVAL_WITHOUT_BROKER_S = 0.25
"""While nothing is announced at all, this is how messages arrive: two queries each time, whatever the rate."""


class Reconciler:
    """Compares what this instance believes with the store, again and again: heads and memberships.

    With a working broker it finds nothing to do. When a frame was dropped, an instance died between its
    commit and its announcement, or Redis is gone, it is what keeps the promises.
    """

    def __init__(self, *, router: MessageRouter, feeds: ConversationFeeds, memberships: Memberships) -> None:
        self._router = router
        self._feeds = feeds
        self._memberships = memberships
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run(), name="reconciler")

    async def stop(self) -> None:
        """Ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def reconcile(self) -> None:
        """Once, now. Raises ``Unavailable``."""
        await self._feeds.reconcile()
        await self._memberships.reconcile()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S if self._router.is_live else INTERVAL_WITHOUT_BROKER_S)
            try:
                await self.reconcile()
            except Unavailable as error:
                logger.warning("reconciling failed, trying again: %s", error)
            except Exception:
                logger.exception("reconciling failed, trying again")  # it must go on, whatever one round met
