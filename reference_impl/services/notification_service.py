"""Tells a user who is not connected that there is something to read."""

import logging
from collections.abc import Iterable

import msgspec
from uuid_utils import uuid7

from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import PushProvider
from reference_impl.core.trace import OFF, HopRecorder
from reference_impl.logs import belonging_to
from reference_impl.model.errors import QueueFull
from reference_impl.model.health import Health
from reference_impl.model.jobs import Enqueued, Job, PermanentFailure
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
        job_id, push = _named(user_id, notification_data)
        is_new = await self.queue.enqueue_message(job_id, push)
        if is_new:
            self._note_queued(push)
        return is_new

    async def send_push_notifications(self, pushes: Iterable[tuple[str, NotificationData]]) -> int:
        """Asks for many pushes, each a user and what they get, in one round trip. Returns how many are new.

        Raises ``QueueFull`` when not all fitted in: those before are in the queue; and ``Unavailable``. Whoever asks
        for them all again, of those with a ``message_id``, makes none of them twice.
        """
        asked = dict(_named(user_id, notification_data) for user_id, notification_data in pushes)
        answers = await self.queue.enqueue_messages(asked)
        new = [push for job_id, push in asked.items() if answers[job_id] is Enqueued.NEW]
        for push in new:
            self._note_queued(push)
        refused = sum(answer is Enqueued.REFUSED for answer in answers.values())
        if refused:
            raise QueueFull(f"{refused} of {len(asked)} pushes did not fit into the queue")
        return len(new)

    def _note_queued(self, push: _Push) -> None:
        if self._recorder.on:
            self._recorder.hop("push_queued", user_id=push.user_id, message=push.notification.get("message_id"))

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


def _named(user_id: str, notification_data: NotificationData) -> tuple[str, _Push]:
    """The name of a push, under which it is made once, and the push."""
    subject = notification_data.get("message_id") or str(uuid7())
    return f"push:{subject}:{user_id}", _Push(user_id, notification_data)
