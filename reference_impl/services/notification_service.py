"""Tells a user who is not connected that there is something to read."""

import logging

import msgspec
from uuid_utils import uuid7

from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import PushProvider
from reference_impl.core.trace import OFF, HopRecorder
from reference_impl.logs import belonging_to
from reference_impl.model.health import Health
from reference_impl.model.jobs import Job, PermanentFailure
from reference_impl.model.notification_content import NotificationData

logger = logging.getLogger(__name__)


class _Push(msgspec.Struct, frozen=True):
    """What a push job carries. The text is in the queue until it is pushed, or purged."""

    user_id: str
    notification: NotificationData


_decode = msgspec.json.Decoder(_Push).decode


class NotificationService:
    """Asks the queue for a push, and, as the queue's handler, gives it to the provider.

    Between the two lies the queue: whoever asks does not wait for the provider, and a provider that is away,
    or an instance that dies, delays a push and does not lose it.
    """

    def __init__(self, *, queue: MessageQueue, provider: PushProvider, recorder: HopRecorder = OFF) -> None:
        self.queue = queue
        self._provider = provider
        self._recorder = recorder

    async def start(self) -> None:
        """Begins to push what is asked for, on whatever instance."""
        await self.queue.start(self.deliver)

    async def stop(self, timeout: float) -> None:
        """Finishes what is on its way, within ``timeout`` seconds. Idempotent."""
        await self.queue.stop(timeout)
        await self._provider.stop()

    def health(self) -> Health:
        """How the provider is."""
        return self._provider.health()

    async def send_push_notification(self, user_id: str, notification_data: NotificationData) -> bool:
        """Asks for one push to one user; on return it is in the queue, not yet on the phone.

        With a ``message_id`` it is asked for once, however often and on however many instances this is called:
        False means that it was asked for before. Without one, each call is a push of its own.
        Raises ``QueueFull`` and ``Unavailable``; then nothing was asked for.
        """
        subject = notification_data.get("message_id") or str(uuid7())
        is_new = await self.queue.enqueue_message(f"push:{subject}:{user_id}", _Push(user_id, notification_data))
        if is_new and self._recorder.on:
            self._recorder.hop("push_queued", user_id=user_id, message=subject)
        return is_new

    async def deliver(self, job: Job) -> None:
        """Handles one job. The provider is given the job's id, to recognise a repetition."""
        try:
            push = _decode(job.payload)
        except msgspec.DecodeError as error:
            raise PermanentFailure("the job is no push") from error
        with belonging_to(message_id=push.notification.get("message_id")):
            await self._provider.send(push.user_id, push.notification, idempotency_key=job.id)
        if self._recorder.on:
            message = push.notification.get("message_id")
            self._recorder.hop("push_sent", user_id=push.user_id, message=message, attempt=job.attempts + 1)
