"""What each frame of a client makes happen."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from reference_impl.api.deps import Services
from reference_impl.core.connection import Connection
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.errors import ChatError, Forbidden, Invalid
from reference_impl.model.frames import (
    AuthFrame,
    ConversationFrame,
    DeliveredFrame,
    PongFrame,
    ReadFrame,
    ResumeFrame,
    TextFrame,
    TypingFrame,
)
from reference_impl.model.positions import PositionKind
from reference_impl.model.server_frames import AckData, ErrorData, ServerData
from reference_impl.services.authentication_service import Identity

logger = logging.getLogger(__name__)

WorkFrame = ConversationFrame | AuthFrame
"""A frame that takes a while: the store is asked, or told."""

Answer = Callable[[ServerData, str | None], None]
"""Takes a frame's data and a conversation id, and sends the frame."""


class FrameActions:
    """Translates one connection's frames into calls of the services. It decides nothing."""

    def __init__(
        self,
        services: Services,
        identity: Identity,
        connection: Connection,
        conversation_id: str | None,
        answer: Answer,
    ) -> None:
        self._services = services
        self._identity = identity
        self._connection = connection
        self._conversation_id = conversation_id
        self._answer = answer
        self._replays: dict[str, asyncio.Task[None]] = {}
        self._typed_in: set[str] = set()
        self._expiry = self._end_with_the_token()

    async def act(self, frame: WorkFrame) -> None:
        """Does what the frame asks for. Raises ``ChatError``."""
        match frame:
            case AuthFrame():
                await self._renew(frame)
            case _:
                await self._act_on(self._conversation_of(frame), frame)

    def take_pong(self, frame: PongFrame) -> None:
        """The heartbeat's answer: there is nothing to wait for."""
        self._services.confirmations.take_pong(self._connection, frame.timestamp)

    def resume(self, conversation_id: str, last_seq: int) -> None:
        """Begins to send what was missed. Does not wait; one that still runs gives way to it."""
        if (running := self._replays.get(conversation_id)) is not None:
            running.cancel()
        replay = self._replays[conversation_id] = asyncio.create_task(
            self._replay(conversation_id, last_seq, running), name=f"replay {self._connection.connection_id}"
        )
        replay.add_done_callback(partial(self._replay_ended, conversation_id))

    async def stop(self) -> None:
        """The connection has gone: ends its replays, and its user's typing."""
        self._expiry.cancel()
        for replay in self._replays.values():
            replay.cancel()
        if self._replays:
            await asyncio.wait(self._replays.values())
        self._services.activity.stop_typing(self._typed_in, self._identity.user_id)

    async def _act_on(self, conversation_id: str, frame: ConversationFrame) -> None:
        activity, user_id = self._services.activity, self._identity.user_id
        match frame:
            case TextFrame():
                await self._say(conversation_id, frame)
            case TypingFrame():
                self._typed_in.add(conversation_id)
                await activity.type(conversation_id, user_id, is_typing=frame.is_typing)
            case ReadFrame():
                await activity.advance(conversation_id, user_id, PositionKind.READ, frame.seq)
            case DeliveredFrame():
                await activity.advance(conversation_id, user_id, PositionKind.DELIVERED, frame.seq)
            case ResumeFrame():
                self.resume(conversation_id, frame.last_seq)

    async def _say(self, conversation_id: str, frame: TextFrame) -> None:
        self._hop("received", conversation_id, frame, via="websocket")
        message = await self._services.messages.create_message(
            conversation_id,
            self._identity,
            frame.content,
            message_id=self._connection.name_own_message(),
            client_message_id=frame.client_message_id,
            is_important=frame.is_important,
            reply_to_message_id=frame.reply_to_message_id,
            origin_connection_id=self._connection.connection_id,
        )
        ack = AckData(client_message_id=frame.client_message_id, id=message.id, seq=message.seq)
        self._answer(ack, conversation_id)
        self._hop("acked", conversation_id, frame, message_id=message.id)

    async def _renew(self, frame: AuthFrame) -> None:
        identity = self._services.authentication.verify_token(frame.token)
        if identity.user_id != self._identity.user_id:
            raise Forbidden("the new token is another user's; open a connection of your own for them")
        await self._services.access.require(identity)
        self._identity = identity
        self._connection.token_id = identity.token_id
        self._expiry.cancel()
        self._expiry = self._end_with_the_token()

    def _end_with_the_token(self) -> asyncio.TimerHandle:
        left_s = (self._identity.expires_at - self._services.clock()).total_seconds()
        close, reason = self._connection.close, "the token has expired"
        return asyncio.get_running_loop().call_later(left_s, close, CloseCode.AUTHENTICATION_FAILED, reason)

    async def _replay(self, conversation_id: str, last_seq: int, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])  # two at once would send two histories into one another
        try:
            await self._services.connections.resume(self._connection, conversation_id, last_seq)
        except Forbidden as error:
            if self._connection.is_device_wide:
                self._answer(ErrorData(code=error.code, message=error.message), conversation_id)
            else:
                self._connection.close(CloseCode.ACCESS_DENIED, error.message, discard=True)
        except ChatError as error:  # half a history is worse than none: the client comes again
            self._connection.close(CloseCode.INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("connection %s: resuming failed", self._connection.connection_id)
            self._connection.close(CloseCode.INTERNAL_ERROR, "server error")

    def _replay_ended(self, conversation_id: str, replay: asyncio.Task[None]) -> None:
        if self._replays.get(conversation_id) is replay:
            del self._replays[conversation_id]

    def _conversation_of(self, frame: ConversationFrame) -> str:
        """The conversation a frame is about. Raises ``Invalid``."""
        named = frame.conversation_id
        if self._conversation_id is None:
            if named is None:
                raise Invalid("this connection is on all conversations: name one in conversation_id")
            return named
        if named not in (None, self._conversation_id):
            raise Invalid("this connection is on another conversation")
        return self._conversation_id

    def _hop(self, hop: str, conversation_id: str, frame: TextFrame, **detail: Any) -> None:
        if self._services.recorder.on:
            self._services.recorder.hop(
                hop,
                client_message_id=frame.client_message_id,
                conversation_id=conversation_id,
                user_id=self._identity.user_id,
                connection_id=self._connection.connection_id,
                **detail,
            )
