"""Resuming: what a connection missed, page by page, and then the live messages, with nothing between them."""

import logging
from collections.abc import Callable
from datetime import datetime

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.conversation_feed import ConversationFeed
from reference_impl.core.ports import Store
from reference_impl.model.envelope import encode_frame, encode_new_message
from reference_impl.model.errors import Forbidden, Unavailable
from reference_impl.model.resume import plan_resume
from reference_impl.model.server_frames import ResumedData

logger = logging.getLogger(__name__)

PAGE = 100


class Replay:
    """Brings connections that were away up to the present.

    While one catches up it gets no live messages. It reads the store until it has come as far as this
    instance's feed, and is made live in the same turn of the loop: no message is delivered in between, so
    none is missed, and none waits in memory meanwhile.

    It sends as fast as the peer reads. A peer that stops reading stops its own replay, and nothing else.
    """

    def __init__(self, *, store: Store, connections: ConnectionManager, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._connections = connections
        self._clock = clock

    async def run(self, connection: Connection, feed: ConversationFeed, last_seq: int) -> None:
        """Sends ``resumed``, then everything after ``last_seq``, then makes the connection live.

        Ends early when the connection does. Raises ``Forbidden`` when the user takes no part (any more), and
        ``Unavailable`` when the store is away; then the connection is not live, and the client must know.
        """
        conversation_id = feed.conversation_id
        self._connections.unsubscribe(connection, conversation_id)
        await self._require_access(connection, conversation_id)
        # A feed that is behind would go on with messages that the client has, or is about to get from here.
        await feed.come_to((await self._store.heads([conversation_id]))[conversation_id])
        head = feed.last_seq
        plan = plan_resume(last_seq, head)
        data = ResumedData(recovered=plan.recovered, seq=head)
        resumed = encode_frame(data, conversation_id=conversation_id, timestamp=self._clock())
        if not await connection.send_when_room(resumed):
            return
        sent = plan.after_seq
        while sent < feed.last_seq:
            came_to = await self._send_page(connection, feed, sent)
            if came_to is None:
                return
            sent = came_to
        if connection.connection_id not in feed.members:
            raise Forbidden("no longer a participant")  # removed after the last page was read
        self._connections.subscribe(connection, conversation_id)  # in the turn of the comparison: nothing between

    async def _send_page(self, connection: Connection, feed: ConversationFeed, after_seq: int) -> int | None:
        """Sends the next page; returns the last number sent, None when the connection has ended.

        It stops where the feed is. What the store has beyond that is live, and comes from the feed.
        """
        await self._require_access(connection, feed.conversation_id)
        page = await self._store.history(feed.conversation_id, after_seq=after_seq, limit=PAGE)
        if not page:
            raise Unavailable("the store has less than it had")
        for message in page:
            if message.seq > feed.last_seq:
                break
            if not await connection.send_when_room(encode_new_message(message)):
                return None
            after_seq = message.seq
        return after_seq

    async def _require_access(self, connection: Connection, conversation_id: str) -> None:
        """Before every page: who is removed in the middle of it gets no more."""
        if not await self._store.is_participant(conversation_id, connection.user_id):
            raise Forbidden("no longer a participant")
