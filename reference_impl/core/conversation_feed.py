"""One conversation's messages on this instance: in order, once, without a gap."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from reference_impl.core.ports import MessageStore
from reference_impl.core.trace import OFF, HopRecorder
from reference_impl.model.bus_messages import ConversationMessage
from reference_impl.model.envelope import EncodedFrame, encode_new_message
from reference_impl.model.errors import ChatError

logger = logging.getLogger(__name__)

PAGE = 50
"""Messages read from the store at a time: few against an outbox, so that a good reader keeps up with a repair."""

CROSSING_S = 0.015
"""How long a message that is ahead waits before those between are read. Two instances that store into one conversation
publish side by side, and the later one is often the first to arrive: the other is milliseconds behind, and need not
be read. One that is lost delays those behind it by as much.
"""

RETRY_S = 1.0
"""Pause before a read that failed, or found less than was announced, is tried again."""

MAX_TRIES = 10
"""Reads after which an announced message that the store does not have is taken for a forgery."""

Deliver = Callable[[str, EncodedFrame, str | None], object]
"""Takes the conversation, a frame, and the connection that is not to get it."""


class ConversationFeed:
    """Turns wake-ups from the broker into delivery in ``seq`` order.

    Pub/sub may lose, double or reorder; the store does not. So a message is delivered at once only if it
    is the next one. One that was seen is dropped. One that is further on waits for those between: a moment for
    them to arrive, then for them to be read from the store.
    """

    def __init__(
        self, conversation_id: str, store: MessageStore, deliver: Deliver, recorder: HopRecorder = OFF
    ) -> None:
        self.conversation_id = conversation_id
        self.members: set[str] = set()
        """Ids of the connections here that keep it open."""
        self.repaired = 0
        """Messages that had to be read from the store, since the start."""
        self._store = store
        self._deliver = deliver
        self._recorder = recorder
        self._last_seq: int | None = None
        self._waiting: dict[int, ConversationMessage] = {}
        self._repair: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None  # with the gap before what waits

    @property
    def last_seq(self) -> int:
        """The last message delivered here. Valid after ``open``."""
        if self._last_seq is None:
            raise RuntimeError("the feed is not open")
        return self._last_seq

    async def open(self) -> None:
        """Starts at the conversation's head. The subscription must be live before: what comes meanwhile waits."""
        head = (await self._store.heads([self.conversation_id]))[self.conversation_id]
        self._last_seq = head
        self._hop("channel_opened", seq=head)
        self._waiting = {seq: message for seq, message in self._waiting.items() if seq > head}
        self._deliver_waiting()

    def accept(self, message: ConversationMessage) -> None:
        """Takes a message from the broker. Does not wait."""
        if self._last_seq is not None and message.seq <= self._last_seq:
            return
        self._waiting[message.seq] = message
        self._deliver_waiting()

    def expect(self, head: int) -> None:
        """Takes notice that messages up to ``head`` are in the store. Does not wait."""
        if self._last_seq is not None and head > self._last_seq:
            self.catch_up()

    def catch_up(self) -> None:
        """Reads from the store whatever was missed. Does not wait; a second call while one runs joins it."""
        self._lose_patience()
        if self._last_seq is not None and not self._repairing:
            self._repair = asyncio.create_task(self._read_missing(), name=f"repair {self.conversation_id}")

    async def come_to(self, head: int) -> None:
        """Waits until everything up to ``head``, which is in the store, is delivered here, or the feed is closed."""
        while self.last_seq < head:
            self.catch_up()
            if (repair := self._repair) is not None:
                await asyncio.wait([repair])
                if repair.cancelled():
                    return
                repair.result()  # raises what the repair met

    async def close(self) -> None:
        """Ends a running repair, and the wait before one."""
        self._lose_patience()
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.wait([self._repair])
        self._hop("channel_closed")

    def _deliver_waiting(self) -> None:
        if self._last_seq is None or self._repairing:
            return
        while (message := self._waiting.pop(self._last_seq + 1, None)) is not None:
            self._lose_patience()  # another gap is a new one
            self._last_seq = message.seq
            frame = EncodedFrame(message.frame, message.message_id)
            self._deliver(self.conversation_id, frame, message.origin_connection_id)
        if self._waiting and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(CROSSING_S, self.catch_up)

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    @property
    def _repairing(self) -> bool:
        return self._repair is not None and not self._repair.done()

    async def _read_missing(self) -> None:
        tries = 0
        while not await self._read_page() or self._has_gap:
            tries += 1
            if self._has_gap and tries > MAX_TRIES:
                logger.error(
                    "conversation %s: dropping %d messages that the store does not have: %s",
                    self.conversation_id,
                    len(self._waiting),
                    sorted(self._waiting),
                )
                self._waiting.clear()
        self._repair = None  # from here on wake-ups deliver again
        self._deliver_waiting()

    @property
    def _has_gap(self) -> bool:
        """Whether messages wait and the next one is not among them."""
        return bool(self._waiting) and self.last_seq + 1 not in self._waiting

    async def _read_page(self) -> bool:
        """Delivers one page from the store; True when there was no more."""
        try:
            page = await self._store.history(self.conversation_id, after_seq=self.last_seq, limit=PAGE)
        except ChatError as error:
            logger.warning("conversation %s: catching up failed, trying again: %s", self.conversation_id, error)
            await asyncio.sleep(RETRY_S)
            return False
        for message in page:
            waiting = self._waiting.pop(message.seq, None)
            origin = waiting.origin_connection_id if waiting else None
            self._last_seq = message.seq
            self.repaired += 1
            self._hop("repaired", seq=message.seq, message=message.id)
            self._deliver(self.conversation_id, encode_new_message(message), origin)
        if not page and self._has_gap:
            await asyncio.sleep(RETRY_S)  # announced, and not readable yet
        return len(page) < PAGE

    def _hop(self, hop: str, **detail: Any) -> None:
        if self._recorder.on:
            self._recorder.hop(hop, conversation_id=self.conversation_id, **detail)
