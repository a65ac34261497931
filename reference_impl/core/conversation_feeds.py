"""The feeds of all conversations that have members on this instance."""

import asyncio
import logging

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.conversation_feed import ConversationFeed
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Clock, MessageStore
from reference_impl.core.trace import OFF, HopRecorder
from reference_impl.model.bus_messages import ConversationHead, ConversationMessage
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import Unavailable
from reference_impl.model.event_factories import create_delivery_event

logger = logging.getLogger(__name__)


class ConversationFeeds:
    """Opens a feed with the first member here and closes it with the last one.

    Opening means: subscribe first, then read the head, then deliver. Whatever is published in between
    waits in the feed; nothing falls through.
    """

    def __init__(
        self,
        router: MessageRouter,
        store: MessageStore,
        connections: ConnectionManager,
        event_bus: EventBus,
        clock: Clock,
        recorder: HopRecorder = OFF,
    ) -> None:
        self._router = router
        self._store = store
        self._connections = connections
        self._event_bus = event_bus
        self._clock = clock
        self._recorder = recorder
        self._feeds: dict[str, ConversationFeed] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._repaired = 0  # by feeds that are closed

    async def join(self, conversation_id: str, connection: Connection) -> ConversationFeed:
        """The open feed, which the connection keeps open until it leaves.

        Raises ``Unavailable``: the store is away, or the connection has gone and would never leave.
        """
        if not self._connections.has(connection):
            raise Unavailable("the connection has gone")
        feed = self._feeds.get(conversation_id)
        if feed is None:
            feed = self._feeds[conversation_id] = ConversationFeed(
                conversation_id, self._store, self._deliver, self._recorder
            )
            self._opening[conversation_id] = asyncio.create_task(self._open(feed))
        feed.members.add(connection.connection_id)
        connection.joined_ids.add(conversation_id)
        try:
            if (opening := self._opening.get(conversation_id)) is not None:
                await self._opened(opening)
        except BaseException:
            await self.leave(conversation_id, connection)
            raise
        return feed

    async def leave(self, conversation_id: str, connection: Connection) -> None:
        """The connection needs it no more; the last one closes the feed and its subscription. Idempotent."""
        connection.joined_ids.discard(conversation_id)
        feed = self._feeds.get(conversation_id)
        if feed is None:
            return
        feed.members.discard(connection.connection_id)
        if not feed.members:
            await self._close(feed)

    def accept(self, message: ConversationMessage) -> None:
        """Passes a message from the bus to its feed; one without members here is not for us."""
        feed = self._feeds.get(message.conversation_id)
        if feed is not None:
            feed.accept(message)

    def expect(self, head: ConversationHead) -> None:
        """Passes a head from the bus to its feed."""
        feed = self._feeds.get(head.conversation_id)
        if feed is not None:
            feed.expect(head.seq)

    async def reconcile(self) -> None:
        """Compares every feed with the store: the last message of a conversation may have been lost on its way,
        and no later one would show it. Raises ``Unavailable``.
        """
        open_feeds = [name for name in self._feeds if name not in self._opening]
        if not open_feeds:
            return
        for name, head in (await self._store.heads(open_feeds)).items():
            feed = self._feeds.get(name)
            if feed is not None:
                feed.expect(head)

    def catch_up(self) -> None:
        """Reads what every feed may have missed: the link to the other instances was broken."""
        for feed in self._feeds.values():
            feed.catch_up()

    def __len__(self) -> int:
        """Conversations with a member here."""
        return len(self._feeds)

    @property
    def repaired(self) -> int:
        """Messages that had to be read from the store, since the start."""
        return self._repaired + sum(feed.repaired for feed in self._feeds.values())

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
        for feed in tuple(self._feeds.values()):
            await self._close(feed)

    async def _close(self, feed: ConversationFeed) -> None:
        conversation_id = feed.conversation_id
        del self._feeds[conversation_id]
        if (opening := self._opening.pop(conversation_id, None)) is not None:
            opening.cancel()
        await feed.close()
        self._repaired += feed.repaired
        if conversation_id not in self._feeds:  # nobody has come back meanwhile
            await self._router.unsubscribe(conversation_id)

    def _deliver(self, conversation_id: str, frame: EncodedFrame, except_connection: str | None) -> None:
        reached = self._connections.send_to_conversation(conversation_id, frame, except_connection)
        self._event_bus.publish(
            create_delivery_event(conversation_id, frame.message_id, reached, timestamp=self._clock())
        )

    async def _opened(self, opening: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(opening)  # others wait for the same opening
        except asyncio.CancelledError:
            this_task = asyncio.current_task()
            if opening.cancelled() and not (this_task and this_task.cancelling()):
                raise Unavailable("the conversation was closed meanwhile") from None
            raise

    async def _open(self, feed: ConversationFeed) -> None:
        if not await self._router.subscribe(feed.conversation_id):
            logger.warning("conversation %s: no live subscription yet, catching up later", feed.conversation_id)
        await feed.open()
        self._opening.pop(feed.conversation_id, None)
