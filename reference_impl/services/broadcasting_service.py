"""Gets a stored message to everybody it is for."""

from reference_impl.core.event_bus import EventBus
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.trace import HopRecorder
from reference_impl.model.envelope import encode_new_message
from reference_impl.model.events import EventTypes, MessageEvent


class BroadcastingService:
    """Listens for messages that were stored, makes the one frame that all sockets get, and hands it over.

    It asks nobody who is where: the frame goes to the conversation, and each instance knows its own members.
    """

    def __init__(self, *, event_bus: EventBus, relay: OutboxRelay, recorder: HopRecorder) -> None:
        self._relay = relay
        self._recorder = recorder
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.broadcast_message)

    def broadcast_message(self, event: MessageEvent) -> None:
        """Hands a stored message over to all instances. Does not wait for them."""
        if self._recorder.on:
            self._recorder.hop("broadcast", message_id=event.message.id, conversation_id=event.message.conversation_id)
        self._relay.hand_over(event, encode_new_message(event.message).text)
