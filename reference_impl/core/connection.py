"""One WebSocket connection: one device of one user, on one conversation or on all of them."""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from reference_impl.core.outbox import Outbox
from reference_impl.core.ports import Transport
from reference_impl.core.trace import HopRecorder
from reference_impl.core.traffic import Traffic
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame

logger = logging.getLogger(__name__)

VANISHED = 1006
"""RFC 6455's code for a connection that ended without a close frame."""

CLOSE_DEADLINE_S = 5.0
"""How long a close frame may wait for a peer that does not read."""

STALLED_DEADLINE_S = 30.0
"""How long a peer whose outbox was thrown away may take to read what is on the network already, and the close
frame behind it. After that the connection ends without one.
"""


MAX_OWN_IDS = 64
"""Messages of its own that a connection recognises: those on their way from the store to the members, and some more."""


class Connection:
    """A socket with its record, its outbox and its one writer.

    Everybody may call ``send``; only the writer task touches the socket. So frames keep their order,
    no two writes interleave, and nobody waits for somebody else's slow network.
    """

    def __init__(
        self,
        transport: Transport,
        outbox: Outbox,
        recorder: HopRecorder,
        traffic: Traffic,
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
        self.outbox = outbox
        self.was_too_slow = False
        self.ended_with: int | None = None
        """The close code: ours, or the peer's if it went first. None while it is open."""
        self.last_heard = self.last_pinged = time.monotonic()
        self._own_ids: dict[str | None, None] = {}
        self._transport = transport
        self._recorder = recorder
        self._traffic = traffic
        self._writer: asyncio.Task[None] | None = None
        self._close_with: tuple[int, str] | None = None
        self._give_up: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Accepts the socket and starts the writer. Raises what the transport raises."""
        await self._transport.accept()
        self._writer = asyncio.create_task(self._write(), name=f"writer {self.connection_id}")

    def send(self, frame: EncodedFrame) -> bool:
        """Queues a frame. False when it was not taken: the outbox was full (it closes now) or it is closing."""
        if self._close_with is not None:
            return False
        if not self.outbox.put(frame):
            logger.warning("connection %s reads too slowly: closing it", self.connection_id)
            if self._recorder.on:
                self._hop("overflowed", frame, waiting=len(self.outbox), bytes=self.outbox.bytes)
            self.was_too_slow = True
            self.close(CloseCode.TRY_AGAIN_LATER, "too slow: resume", discard=True)
            return False
        if self._recorder.on and frame.message_id:
            self._hop("enqueued", frame, waiting=len(self.outbox), bytes=self.outbox.bytes)
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
        """Asks the writer to close the socket after what is queued, or at once if ``discard``.

        The first close counts; later ones change nothing.
        """
        if self._close_with is not None:
            return
        self._close_with = (code, reason)
        self.left(code)
        self.outbox.close(discard=discard)
        if discard and self._writer is not None:
            self._give_up = asyncio.get_running_loop().call_later(STALLED_DEADLINE_S, self._writer.cancel)

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

    async def finish(self) -> None:
        """Ends the writer. Call it once the peer is gone or was told to go. Idempotent."""
        self.left(VANISHED)
        self.close(CloseCode.INTERNAL_ERROR, "connection ended", discard=True)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def written(self) -> None:
        """Returns when the writer has ended: everything queued is on the network, or the peer is dead."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        try:
            while (frame := await self.outbox.get()) is not None:
                if self._recorder.on and frame.message_id:
                    # Before: the peer may have it before the call returns.
                    self._hop("written", frame, waiting=len(self.outbox), bytes=self.outbox.bytes)
                await self._transport.send_text(frame.text)
                self._traffic.sent += 1
            code, reason = self._close_with or (CloseCode.INTERNAL_ERROR, "")
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._transport.close(code, reason)
        except TimeoutError:
            logger.info("connection %s did not read its close frame", self.connection_id)
        except (OSError, RuntimeError) as error:  # what a transport raises when the peer is gone
            logger.debug("connection %s is dead: %s", self.connection_id, error)
            self.left(VANISHED)
            self.close(CloseCode.INTERNAL_ERROR, "peer gone", discard=True)
        except Exception:
            logger.exception("connection %s: the writer failed", self.connection_id)
            self.close(CloseCode.INTERNAL_ERROR, "server error", discard=True)
        finally:
            if self._give_up is not None:
                self._give_up.cancel()

    def _hop(self, hop: str, frame: EncodedFrame, **detail: Any) -> None:
        self._recorder.hop(
            hop,
            message_id=frame.message_id,
            user_id=self.user_id,
            connection_id=self.connection_id,
            **detail,
        )
