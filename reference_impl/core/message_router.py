"""Between this instance and all instances: checks what comes in, publishes, subscribes, and sorts what arrives."""

import logging
from collections.abc import Callable

import msgspec

from reference_impl.core.limit_ports import MessageQuota
from reference_impl.core.message_limits import MessageLimits
from reference_impl.core.ports import Broker
from reference_impl.core.trace import HopRecorder
from reference_impl.model.bus_messages import (
    AnyBusMessage,
    ConversationFrame,
    ConversationHead,
    ConversationMessage,
    DirectFrame,
    MembershipChanged,
    PresenceChanged,
    decode_bus_message,
    encode_bus_message,
)
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import TooLarge
from reference_impl.model.health import Health
from reference_impl.model.messages import MessageInfo
from reference_impl.model.presence import PresenceChange
from reference_impl.model.signatures import Forged, Signer

logger = logging.getLogger(__name__)

BROADCAST_CHANNEL = "ws:broadcast"
"""Every instance listens: frames for one user, wherever they are, and changed memberships."""

PRESENCE_CHANNEL = "ws:presence"
"""Every instance listens: who has come and gone."""

CONVERSATION_CHANNEL = "ws:conversation:"
"""Prefix of a conversation's channel. Only instances with members there listen to it."""

BusHandler = Callable[[AnyBusMessage], None]


class MessageRouter:
    """Routes messages; owns no connection and no user.

    One message is one publish on its conversation's channel, however many members it has. The publishing
    instance gets it back like every other one: there is no second path for local members.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        instance_id: str,
        recorder: HopRecorder,
        signer: Signer,
        max_message_size: int = 64 * 1024,
        rate_limit_window: float = 60,
        rate_limit_max_messages: int = 100,
        quota: MessageQuota | None = None,
    ) -> None:
        self.instance_id = instance_id
        self.max_message_size = max_message_size
        self.limits = MessageLimits(quota, max_messages=rate_limit_max_messages, window_s=rate_limit_window)
        self.unreadable = 0
        """Bus messages that could not be decoded, since the start."""
        self.forged = 0
        """Bus messages that no instance with our key has signed, since the start. They are not even decoded."""
        self._broker = broker
        self._signer = signer
        self._recorder = recorder
        self._handler: BusHandler | None = None

    async def start(self, handler: BusHandler, on_gap: Callable[[], None]) -> None:
        """Begins to listen. ``handler`` takes each bus message and must not block."""
        self._handler = handler
        await self._broker.start(self._on_payload, on_gap)
        await self._broker.subscribe(BROADCAST_CHANNEL)
        await self._broker.subscribe(PRESENCE_CHANNEL)

    async def stop(self) -> None:
        """Ends listening."""
        await self.limits.stop()
        await self._broker.stop()

    @property
    def is_live(self) -> bool:
        """Whether messages from other instances arrive now."""
        return self._broker.is_live

    def health(self) -> Health:
        """How the broker is."""
        return self._broker.health()

    def check_size(self, size: int) -> None:
        """Raises ``TooLarge`` for a frame of more bytes than one may have."""
        if size > self.max_message_size:
            raise TooLarge(f"the frame has {size} bytes; at most {self.max_message_size} are allowed")

    async def admit(self, user_id: str) -> None:
        """Counts one message of a user, over all instances. Raises ``RateLimited``."""
        await self.limits.admit(user_id)

    async def publish_message(self, message: MessageInfo, frame: bytes, origin_connection_id: str | None) -> None:
        """Publishes a stored message to every instance that has members in its conversation.

        ``frame`` is what their sockets get. Raises ``Unavailable``.
        """
        channel = CONVERSATION_CHANNEL + message.conversation_id
        envelope = ConversationMessage(
            instance_id=self.instance_id,
            conversation_id=message.conversation_id,
            message_id=message.id,
            seq=message.seq,
            frame=frame,
            origin_connection_id=origin_connection_id,
        )
        if self._recorder.on:
            self._recorder.hop(
                "published",
                message_id=message.id,
                conversation_id=message.conversation_id,
                channel=channel,
                seq=message.seq,
            )
        await self._publish(channel, envelope)

    async def publish_head(self, conversation_id: str, seq: int) -> None:
        """Tells the instances with members that messages up to ``seq`` are stored. Raises ``Unavailable``."""
        head = ConversationHead(instance_id=self.instance_id, conversation_id=conversation_id, seq=seq)
        await self._publish(CONVERSATION_CHANNEL + conversation_id, head)

    async def publish_frame(
        self,
        conversation_id: str,
        frame: EncodedFrame,
        *,
        except_user: str | None = None,
        except_connection: str | None = None,
    ) -> None:
        """Publishes a frame that is true for a moment, for the members' sockets. Raises ``Unavailable``."""
        message = ConversationFrame(
            instance_id=self.instance_id,
            conversation_id=conversation_id,
            frame=frame.data,
            key=frame.key or "",
            except_user=except_user,
            except_connection=except_connection,
        )
        await self._publish(CONVERSATION_CHANNEL + conversation_id, message)

    async def publish_to_user(self, user_id: str | None, frame: bytes, device_type: str | None = None) -> None:
        """Publishes a frame for one user's devices, on whichever instances they are; None: for everybody's."""
        message = DirectFrame(
            instance_id=self.instance_id, target_user_id=user_id, frame=frame, device_type=device_type
        )
        await self._publish(BROADCAST_CHANNEL, message)

    async def publish_membership(self, user_ids: list[str], conversation_id: str | None = None) -> None:
        """Tells every instance to look at what these users may hear. Raises ``Unavailable``."""
        message = MembershipChanged(instance_id=self.instance_id, user_ids=user_ids, conversation_id=conversation_id)
        await self._publish(BROADCAST_CHANNEL, message)

    async def publish_presence(self, changes: list[tuple[PresenceChange, list[str]]]) -> None:
        """Tells every instance who has come and gone, and in which conversations. Raises ``Unavailable``."""
        message = PresenceChanged(instance_id=self.instance_id, changes=changes)
        await self._publish(PRESENCE_CHANNEL, message)

    async def subscribe(self, conversation_id: str) -> bool:
        """Listens to a conversation. True when the subscription is live."""
        return await self._broker.subscribe(CONVERSATION_CHANNEL + conversation_id)

    async def unsubscribe(self, conversation_id: str) -> None:
        """Listens no more."""
        await self._broker.unsubscribe(CONVERSATION_CHANNEL + conversation_id)

    async def _publish(self, channel: str, message: AnyBusMessage) -> None:
        await self._broker.publish(channel, self._signer.sign(channel, encode_bus_message(message)))

    def _on_payload(self, channel: str, signed: bytes) -> None:
        try:
            message = decode_bus_message(self._signer.verify(channel, signed))
        except Forged:
            self.forged += 1
            if self.forged == 1 or self.forged % 1000 == 0:  # who can write there must not fill our disk, too
                logger.warning(
                    "refused %d messages from Redis that are not signed with our key, the last on %s; do all instances "
                    "have the same CHAT_SECRET_KEY?", self.forged, channel,
                )  # fmt: skip
            return
        except msgspec.MsgspecError as error:
            self.unreadable += 1
            logger.warning("unreadable message on channel %s: %s", channel, error)
            return
        if self._recorder.on and isinstance(message, ConversationMessage):
            self._recorder.hop(
                "bus_received",
                message_id=message.message_id,
                conversation_id=message.conversation_id,
                channel=channel,
                seq=message.seq,
                source=message.instance_id,
            )
        if self._handler is not None:
            self._handler(message)
