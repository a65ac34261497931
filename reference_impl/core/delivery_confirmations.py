"""Pings that ask whether everything has arrived, and pongs that say so."""

import asyncio
import logging
from contextlib import suppress

from reference_impl.core.connection import Connection
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock, ConversationStore
from reference_impl.model.envelope import EncodedFrame, encode_frame
from reference_impl.model.errors import Unavailable
from reference_impl.model.events import Event, EventTypes
from reference_impl.model.positions import Position, PositionKind
from reference_impl.model.server_frames import PingData

logger = logging.getLogger(__name__)

COLLECT_S = 1.0
"""Confirmations within this time are written together, unless somebody leaves: who has confirmed needs no push."""

RETRY_S = 1.0
"""Pause while the store is away."""

MAX_OPEN_PINGS = 4
"""Pings of one connection that may wait for their pongs: by then the heartbeat has given it up."""


class DeliveryConfirmations:
    """Knows which messages have surely reached a peer, without asking anything of the client but its pongs.

    That a frame was written says little: it may lie in a buffer of a machine that is switched off. But a socket
    keeps its order. Who answers a ping has read everything that was written before it. So each ping remembers
    the heads of its connection's conversations, and its pong confirms them.
    """

    def __init__(
        self,
        *,
        feeds: ConversationFeeds,
        store: ConversationStore,
        event_bus: EventBus,
        clock: Clock,
        patience_s: float = 90.0,
    ) -> None:
        """``patience_s``: who has confirmed nothing for so long is told by a push. It must be written well before."""
        self._collect_s = min(COLLECT_S, patience_s / 4)
        self._feeds = feeds
        self._store = store
        self._clock = clock
        self._confirmed: dict[tuple[str, str], int] = {}  # (conversation_id, user_id) -> seq, not yet written
        self._arrived = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        event_bus.subscribe(EventTypes.WS_DISCONNECT, self.hurry)

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
        heads = connection.open_pings.pop(_number(timestamp), None)
        if heads is None:
            return
        before, connection.confirmed = connection.confirmed, heads
        news = [one for one in heads.items() if before.get(one[0]) != one[1]]  # where nobody spoke there are none
        for conversation_id, seq in news:
            key = (conversation_id, connection.user_id)
            self._confirmed[key] = max(seq, self._confirmed.get(key, 0))
        if news:
            self._arrived.set()

    def hurry(self, _event: Event) -> None:
        """Somebody has left: soon it is decided what they are pushed. Does not wait."""
        if self._confirmed:
            self._is_urgent.set()

    async def _write_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._collect_s):
                    await self._is_urgent.wait()
            self._is_urgent.clear()
            if not await self._try_to_write():
                self._arrived.set()
                await asyncio.sleep(RETRY_S)

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
            logger.exception("confirmations could not be written; what no later pong confirms is pushed")
        return True


def _number(timestamp: float | str | None) -> float:
    """What a client echoed, as a number; one that no ping has if it is none."""
    try:
        return float(timestamp) if timestamp is not None else -1.0
    except ValueError:
        return -1.0
