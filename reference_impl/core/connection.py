"""One WebSocket connection: one device of one user, on one conversation or on all of them."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from reference_impl.core.outbox import Outbox
from reference_impl.core.ports import Transport
from reference_impl.core.trace import HopRecorder
from reference_impl.core.traffic import Traffic
from reference_impl.core.turn import Turn
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame

logger = logging.getLogger(__name__)

VANISHED = 1006
"""RFC 6455's code for a connection that ended without a close frame."""

GIVE_UP_S = 30.0
"""How long a peer that does not read may take to read what is on the network already, and the close frame behind it."""

LARGEST_WRITE = 64 * 1024
"""Bytes handed to the network at once; after that, whether the peer reads decides."""

MAX_OWN_IDS = 64
"""Messages of its own that a connection recognises: those on their way from the store to the members, and some more."""


class Connection:
    """A socket with its record and its outbox.

    Everybody may call ``send``, which only puts a frame into the outbox; ``flush`` alone touches the socket. So frames
    keep their order, and nobody waits for somebody else's slow network.
    """

    def __init__(
        self,
        transport: Transport,
        outbox: Outbox,
        recorder: HopRecorder,
        traffic: Traffic,
        turn: Turn,
        *,
        connection_id: str,
        user_id: str,
        instance_id: str,
        connected_at: datetime,
        metadata: dict[str, Any],
        is_device_wide: bool = False,
    ) -> None:
        self.connection_id = connection_id
        self.user_id = user_id
        self.instance_id = instance_id
        self.connected_at = connected_at
        self.metadata = metadata
        self.is_device_wide = is_device_wide
        """Whether it is for all conversations of its user, and follows them as they come and go."""
        self.conversation_ids: set[str] = set()
        """Those whose live frames it gets now."""
        self.joined_ids: set[str] = set()
        """Those and the ones it is still catching up with: what it keeps a feed open for."""
        self.token_id = ""
        """The token that it was opened with, or refreshed with last."""
        self.device_type: str = metadata.get("device_type") or "unknown"
        self.device_id: str | None = metadata.get("device_id")
        self.open_pings: dict[float, dict[str, int]] = {}
        """Pings without their pongs: timestamp → conversation → its head when the ping was queued."""
        self.confirmed: dict[str, int] = {}
        """The heads that the last pong has confirmed."""
        self.outbox = outbox
        self.was_too_slow = False
        self.ended_with: int | None = None
        """The close code: ours, or the peer's if it went first. None while it is open."""
        self.last_heard = self.last_pinged = time.monotonic()
        self._own_ids: dict[str | None, None] = {}
        self._transport = transport
        self._recorder = recorder
        self._traffic = traffic
        self._turn = turn
        self._is_due = False
        self._close_with: tuple[int, str] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Accepts the socket. Raises what the transport raises."""
        self._transport.on_change = self.flush
        await self._transport.accept()

    def send(self, frame: EncodedFrame) -> bool:
        """Queues a frame. False when it was not taken: the outbox was full (it closes now) or it is closing."""
        if self._close_with is not None:
            return False
        if not self.outbox.put(frame) and not self._find_room(frame):
            return False
        if self._recorder.on and frame.message_id:
            self._hop("enqueued", frame, waiting=len(self.outbox), bytes=self.outbox.bytes)
        if not self._is_due:
            self._is_due = True
            self._turn.add(self)
        return True

    def name_own_message(self) -> str:
        """An id for a message that it is about to send."""
        message_id = str(uuid7())
        self._own_ids[message_id] = None
        if len(self._own_ids) > MAX_OWN_IDS:
            del self._own_ids[next(iter(self._own_ids))]
        return message_id

    def has_sent(self, message_id: str | None) -> bool:
        """Whether a message is one of its latest own: it gets an ack for it, and no copy."""
        return message_id in self._own_ids

    async def send_when_room(self, frame: EncodedFrame) -> bool:
        """Waits until the peer has read enough, then queues the frame. For what a client asked to have again.

        False when it was not taken: the connection is closing.
        """
        return await self.outbox.room_for(frame) and self.send(frame)

    def close(self, code: int, reason: str, *, discard: bool = False) -> None:
        """Closes the socket after what is queued, or at once if ``discard``. The first close counts."""
        if self._close_with is not None:
            return
        self._close_with = (code, reason)
        self.left(code)
        self.outbox.close(discard=discard)
        self._turn.add(self)

    @property
    def is_closing(self) -> bool:
        """Whether a close was asked for, or the peer was found dead."""
        return self._close_with is not None

    def left(self, code: int) -> None:
        """Notes with which code it ended. The first one counts: who went first gives the reason."""
        if self.ended_with is None:
            self.ended_with = int(code)

    def heard(self) -> None:
        """Notes a sign of life."""
        self.last_heard = time.monotonic()

    def finish(self) -> None:
        """Ends it. Call it once the peer is gone or was told to go. Idempotent."""
        self.left(VANISHED)
        self.close(CloseCode.INTERNAL_ERROR, "connection ended", discard=True)
        self.flush()

    async def written(self) -> None:
        """Returns when it has ended: everything queued and the close frame are on the network, or the peer is gone."""
        await asyncio.wait([self._ended])

    def when_ended(self, call: Callable[[object], None]) -> None:
        """Calls this, soon after it has ended as ``written`` means it."""
        self._ended.add_done_callback(call)

    def flush(self) -> None:
        """Hands what waits to the network, as far as the peer reads, and then a close frame."""
        self._is_due = False
        transport, outbox = self._transport, self.outbox
        try:
            has_more = transport.is_writable
            while has_more and (frames := outbox.take(LARGEST_WRITE)):
                if self._recorder.on:
                    self._hop_written(frames)
                transport.write(frames)
                self._traffic.sent += len(frames)
                has_more = outbox.bytes > 0 and transport.is_writable
            if transport.is_closed:
                self._end("peer gone")
            elif self._close_with is not None and not len(outbox):
                transport.close(*self._close_with)
        except (OSError, RuntimeError) as error:  # what sockets raise when the peer is gone; uvloop's the second one
            logger.debug("connection %s is dead: %s", self.connection_id, error)
            self._end("peer gone")
        except Exception:
            logger.exception("connection %s: writing failed", self.connection_id)
            self._end("server error")

    def _find_room(self, frame: EncodedFrame) -> bool:
        """The outbox is full. What filled it in this turn was not offered to the peer yet; a peer that has not read
        what was, is too slow.
        """
        if self._is_due:
            self.flush()
            if self.outbox.put(frame):
                return True
        if not self.is_closing:
            logger.warning("connection %s reads too slowly: closing it", self.connection_id)
            if self._recorder.on:
                self._hop("overflowed", frame, waiting=len(self.outbox), bytes=self.outbox.bytes)
            self.was_too_slow = True
            self.close(CloseCode.TRY_AGAIN_LATER, "too slow: resume", discard=True)
        return False

    def _end(self, why: str) -> None:
        """Nothing more can be written."""
        self.left(VANISHED)
        if self._close_with is None:
            self._close_with = (CloseCode.INTERNAL_ERROR, why)
        self.outbox.close(discard=True)
        if not self._ended.done():
            self._ended.set_result(None)

    def _hop_written(self, frames: list[EncodedFrame]) -> None:
        """Before they are: the peer may have them before the call returns."""
        for number, frame in enumerate(frames, 1):
            if frame.message_id:
                self._hop("written", frame, waiting=len(frames) - number + len(self.outbox), bytes=self.outbox.bytes)

    def _hop(self, hop: str, frame: EncodedFrame, **detail: Any) -> None:
        self._recorder.hop(
            hop,
            message_id=frame.message_id,
            user_id=self.user_id,
            connection_id=self.connection_id,
            **detail,
        )
