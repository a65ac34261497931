"""The feeds of all conversations that have members on this instance."""

import asyncio
import logging

from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.conversation_feed import ConversationFeed
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import MessageStore
from reference_impl.model.bus_messages import ConversationMessage

logger = logging.getLogger(__name__)


class ConversationFeeds:
    """Opens a feed with the first member here and closes it with the last one.

    Opening means: subscribe first, then read the head, then deliver. Whatever is published in between
    waits in the feed; nothing falls through.
    """

    def __init__(self, router: MessageRouter, store: MessageStore, connections: ConnectionManager) -> None:
        self._router = router
        self._store = store
        self._connections = connections
        self._feeds: dict[str, ConversationFeed] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}

    async def join(self, conversation_id: str) -> ConversationFeed:
        """The open feed, with one more member. Raises ``Unavailable`` when the store is away."""
        feed = self._feeds.get(conversation_id)
        if feed is None:
            feed = self._feeds[conversation_id] = ConversationFeed(
                conversation_id, self._store, self._connections.send_to_conversation
            )
            self._opening[conversation_id] = asyncio.create_task(self._open(feed))
        feed.members += 1
        try:
            opening = self._opening.get(conversation_id)
            if opening is not None:
                await asyncio.shield(opening)  # others wait for the same opening
        except BaseException:
            await self.leave(conversation_id)
            raise
        return feed

    async def leave(self, conversation_id: str) -> None:
        """One member less; the last one closes the feed and its subscription."""
        feed = self._feeds.get(conversation_id)
        if feed is None:
            return
        feed.members -= 1
        if feed.members > 0:
            return
        del self._feeds[conversation_id]
        if (opening := self._opening.pop(conversation_id, None)) is not None:
            opening.cancel()
        await feed.close()
        if conversation_id not in self._feeds:  # nobody has come back meanwhile
            await self._router.unsubscribe(conversation_id)

    def accept(self, message: ConversationMessage) -> None:
        """Passes a message from the bus to its feed; one without members here is not for us."""
        feed = self._feeds.get(message.conversation_id)
        if feed is not None:
            feed.accept(message)

    def catch_up(self) -> None:
        """Reads what every feed may have missed: the link to the other instances was broken."""
        for feed in self._feeds.values():
            feed.catch_up()

    @property
    def last_seqs(self) -> dict[str, int]:
        """``conversation_id`` → last message delivered here, for open feeds."""
        return {name: feed.last_seq for name, feed in self._feeds.items() if name not in self._opening}

    def last_seq(self, conversation_id: str) -> int | None:
        """The last message of a conversation delivered here; None without an open feed."""
        if conversation_id in self._opening or conversation_id not in self._feeds:
            return None
        return self._feeds[conversation_id].last_seq

    async def close(self) -> None:
        """Closes all feeds."""
        for conversation_id in tuple(self._feeds):
            self._feeds[conversation_id].members = 1
            await self.leave(conversation_id)

    async def _open(self, feed: ConversationFeed) -> None:
        if not await self._router.subscribe(feed.conversation_id):
            logger.warning("conversation %s: no live subscription yet, catching up later", feed.conversation_id)
        await feed.open()
        self._opening.pop(feed.conversation_id, None)
