"""Pings that ask whether everything has arrived, and pongs that say so."""

import asyncio
import logging

from reference_impl.core.connection import Connection
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.ports import Clock, ConversationStore
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.errors import Unavailable
from reference_impl.model.positions import Position, PositionKind
from reference_impl.model.server_frames import PingData

logger = logging.getLogger(__name__)

COLLECT_S = 0.5
"""Confirmations within this time are written together: all connections of an instance pong at about one time."""

MAX_OPEN_PINGS = 4
"""Pings of one connection that may wait for their pongs: by then the heartbeat has given it up."""


class DeliveryConfirmations:
    """Knows which messages have surely reached a peer, without asking anything of the client but its pongs.

    That a frame was written says little: it may lie in a buffer of a machine that is switched off. But a socket
    keeps its order. Who answers a ping has read everything that was written before it. So each ping remembers
    the heads of its connection's conversations, and its pong confirms them.
    """

    def __init__(self, *, feeds: ConversationFeeds, store: ConversationStore, clock: Clock) -> None:
        self._feeds = feeds
        self._store = store
        self._clock = clock
        self._confirmed: dict[tuple[str, str], int] = {}  # (conversation_id, user_id) -> seq, not yet written
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to write down what was confirmed."""
        self._task = asyncio.create_task(self._write_forever(), name="delivery confirmations")

    async def stop(self) -> None:
        """Writes down what is left, if it can, and ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            await self._try_to_write()

    def make_ping(self, connection: Connection) -> EncodedFrame:
        """The heartbeat's frame: the time, and the heads, by which a client sees that it is behind."""
        now = self._clock()
        heads = {name: seq for name in connection.joined_ids if (seq := self._feeds.last_seq(name)) is not None}
        # Only what is live is confirmed: a conversation that is still being replayed is behind its head.
        live = {name: seq for name, seq in heads.items() if name in connection.conversation_ids}
        connection.open_pings[now.timestamp()] = live
        if len(connection.open_pings) > MAX_OPEN_PINGS:
            del connection.open_pings[next(iter(connection.open_pings))]
        if connection.is_device_wide:
            data = PingData(timestamp=now.timestamp(), seq=None, heads=heads)
            return encode_frame(data, conversation_id=None, timestamp=now)
        conversation_id = next(iter(connection.joined_ids), None)
        data = PingData(timestamp=now.timestamp(), seq=heads.get(conversation_id or ""))
        return encode_frame(data, conversation_id=conversation_id, timestamp=now)

    def take_pong(self, connection: Connection, timestamp: float | str | None) -> None:
        """The peer has answered the ping of this time: it has all that was written before. Does not wait."""
        heads = connection.open_pings.pop(_number(timestamp), {})
        for conversation_id, seq in heads.items():
            key = (conversation_id, connection.user_id)
            self._confirmed[key] = max(seq, self._confirmed.get(key, 0))
        if heads:
            self._arrived.set()

    async def _write_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(COLLECT_S)
            if not await self._try_to_write():
                self._arrived.set()

    async def _try_to_write(self) -> bool:
        confirmed, self._confirmed = self._confirmed, {}
        positions = [
            Position(conversation_id=conversation_id, user_id=user_id, kind=PositionKind.COVERED, seq=seq)
            for (conversation_id, user_id), seq in confirmed.items()
        ]
        if not positions:
            return True
        try:
            await self._store.advance(positions)
        except Unavailable as error:
            logger.warning("%d confirmations are written later: %s", len(positions), error)
            for key, seq in confirmed.items():
                self._confirmed[key] = max(seq, self._confirmed.get(key, 0))
            return False
        except Exception:
            logger.exception("confirmations could not be written; their messages are confirmed by a later pong")
        return True


def _number(timestamp: float | str | None) -> float:
    """What a client echoed, as a number; one that no ping has if it is none."""
    try:
        return float(timestamp) if timestamp is not None else -1.0
    except ValueError:
        return -1.0
