"""What a connected socket says."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from msgspec import UNSET

from reference_impl.api.deps import Services
from reference_impl.api.frame_actions import FrameActions, WorkFrame
from reference_impl.core.connection import VANISHED, Connection
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import encode_frame
from reference_impl.model.errors import (
    BadJson,
    ChatError,
    Invalid,
    RateLimited,
    TooLarge,
    UnknownType,
)
from reference_impl.model.event_factories import create_frame_event, create_system_error
from reference_impl.model.frame_pace import FramePace, frames_per_s
from reference_impl.model.frames import (
    ClientFrame,
    PongFrame,
    TextFrame,
    client_message_id_of,
    frame_type_of,
    parse_client_frame,
)
from reference_impl.model.server_frames import ErrorData, ServerData
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)

MAX_STRIKES = 10
"""Frames that can not be read, after which a client is not worth an answer any more."""

AT_WORK = 32
"""Messages of one connection that may be on their way to the disk. They share a commit, a round trip to Redis and a
write to each member, so it is more than one; and no more than this, so that nobody fills the server's memory.
"""

GOODBYES = (1000, 1001)
"""Close codes of a client that means to go. After any other, or none, it may be on its way back."""


class SocketSession:
    """Takes the frames of one connected socket, has them acted on, and answers through the connection's outbox.

    They are worked on in their order. Messages that come together are on their way together, and keep their order;
    whatever else comes waits for those before it. A frame that is wrong gets an ``error`` frame and the connection
    stays. Nothing a client sends ends in silence.
    """

    __slots__ = (
        "_actions", "_at_hand", "_at_work", "_is_over", "_pace", "_services", "_strikes",
        "connection", "conversation_id", "is_lost",
    )  # fmt: skip

    def __init__(
        self, services: Services, identity: Identity, conversation_id: str | None, connection: Connection
    ) -> None:
        self.connection = connection
        self.conversation_id = conversation_id
        self.is_lost = True
        """Whether the peer vanished, as far as is known. False once it has said goodbye."""
        self._services = services
        self._actions = FrameActions(services, identity, connection, conversation_id, self._answer)
        self._at_work: list[asyncio.Task[None]] = []  # messages
        self._at_hand: asyncio.Task[None] | None = None  # a frame of another kind
        self._strikes = 0
        self._is_over = False  # we close it: what has been read already is not taken any more
        settings = services.settings
        pace = frames_per_s(settings.rate_limit_max_messages, settings.rate_limit_window_s)
        self._pace = FramePace(pace, asyncio.get_running_loop().time())

    def resume(self, last_seq: int) -> None:
        """Begins to send what was missed. For a connection on one conversation."""
        if self.conversation_id is not None:
            self._actions.resume(self.conversation_id, last_seq)

    def take(self, raw: str | None) -> Coroutine[Any, Any, None] | None:
        """Takes one frame; None is a binary one. Call it for one after the other, in the order they came.

        Usually returns None, and the next one may come. Otherwise it may when what this returns was awaited. Cancelled
        while it waits, that has begun nothing; what it has begun goes on.
        """
        self.connection.heard()
        if wait_s := self._pace.wait_s(asyncio.get_running_loop().time()):
            return self._take_later(raw, wait_s)
        return self._take(raw)

    async def _take_later(self, raw: str | None, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if (rest := self._take(raw)) is not None:
            await rest

    def _take(self, raw: str | None) -> Coroutine[Any, Any, None] | None:
        if self._is_over:
            return None
        began = time.perf_counter()
        self._services.traffic.received += 1
        frame = None
        try:
            frame = self._read(raw)
            if isinstance(frame, PongFrame):
                self._actions.take_pong(frame)  # one of each connection with each heartbeat; it waits for nothing
        except Exception:  # noqa: BLE001 - it is logged, and told
            self._fail()
        if frame is None or isinstance(frame, PongFrame):
            self._note_time(began)
            return None
        if isinstance(frame, TextFrame) and len(self._at_work) < AT_WORK:
            self._begin(frame, began)
            return None
        return self._act_in_turn(frame, began)

    async def _act_in_turn(self, frame: WorkFrame, began: float) -> None:
        """When enough of what came before is done."""
        if isinstance(frame, TextFrame):
            while len(self._at_work) >= AT_WORK:
                await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
            self._begin(frame, began)
        else:
            await self._work_done()
            self._at_hand = asyncio.create_task(self._act(frame, began))
            await asyncio.shield(self._at_hand)
            self._at_hand = None

    def _begin(self, frame: TextFrame, began: float) -> None:
        task = asyncio.create_task(self._act(frame, began))
        self._at_work.append(task)
        task.add_done_callback(self._at_work.remove)

    def left(self, code: int | None) -> None:
        """The peer has gone, with this close code or with none."""
        self.is_lost = code not in GOODBYES
        self.connection.left(code or VANISHED)

    async def end(self) -> None:
        """Takes the connection out of everything, and ends what it has begun; messages go on to their end.

        Call it when ``take`` is not called any more, and nothing that it returned is awaited.
        """
        if self._at_hand is not None:
            await asyncio.wait([self._at_hand])  # or it would begin something that nobody ends
        await self._actions.stop()
        await self._services.connections.disconnect(self.connection.connection_id, lost=self.is_lost)
        await self._work_done()

    async def _work_done(self) -> None:
        if self._at_work:
            await asyncio.wait(self._at_work)

    def _read(self, raw: str | None) -> ClientFrame | None:
        """None for one that can not be read; its sender is told."""
        if raw is None:
            self._refuse(BadJson("send text frames, not binary ones"))
            return None
        try:
            self._services.connections.message_router.check_size(len(raw.encode("utf-8", "surrogatepass")))
            frame = parse_client_frame(raw)
        except TooLarge as error:
            self._refuse(error)
            return None
        except (BadJson, UnknownType, Invalid) as error:
            self._refuse(error, client_message_id_of(raw))
            return None
        self._tell_of_frame(frame_type_of(frame))
        return frame

    def _refuse(self, error: ChatError, client_message_id: str | None = None) -> None:
        self._strikes += 1
        self._tell_of_frame("unreadable")
        self._answer_error(error, client_message_id)
        if self._strikes >= MAX_STRIKES:
            self._close(CloseCode.POLICY_VIOLATION, "too many bad frames")

    async def _act(self, frame: WorkFrame, began: float) -> None:
        try:
            await self._actions.act(frame)
        except ChatError as error:
            self._answer_error(error, getattr(frame, "client_message_id", None))
        except Exception:  # noqa: BLE001 - it is logged, and told
            self._fail()
        self._note_time(began)

    def _fail(self) -> None:
        """A mistake of ours, which is being handled now, ends this connection and no other."""
        logger.exception("connection %s: a frame could not be worked on", self.connection.connection_id)
        self._tell_of_failure()
        self._close(CloseCode.INTERNAL_ERROR, "server error")

    def _close(self, code: CloseCode, reason: str) -> None:
        self._is_over = True
        self.connection.close(code, reason)

    def _note_time(self, began: float) -> None:
        self._services.traffic.frame_seconds.observe(time.perf_counter() - began)

    def _answer_error(self, error: ChatError, client_message_id: str | None) -> None:
        self._services.traffic.errors[error.code] += 1
        data = ErrorData(
            code=error.code,
            message=error.message,
            client_message_id=UNSET if client_message_id is None else client_message_id,
            retry_after=round(error.retry_after, 3) if isinstance(error, RateLimited) else UNSET,
        )
        self._answer(data, self.conversation_id)

    def _tell_of_frame(self, frame_type: str) -> None:
        connection, now = self.connection, self._services.clock()
        self._services.event_bus.publish(
            create_frame_event(
                frame_type, connection.user_id, connection.connection_id, self.conversation_id, timestamp=now
            )
        )

    def _tell_of_failure(self) -> None:
        self._services.event_bus.publish(
            create_system_error(
                "reader_failed",
                "reading from a connection failed; it is closed",
                source="websocket",
                timestamp=self._services.clock(),
                connection_id=self.connection.connection_id,
            )
        )

    def _answer(self, data: ServerData, conversation_id: str | None) -> None:
        now = self._services.clock()
        self.connection.send(encode_frame(data, conversation_id=conversation_id, timestamp=now))
