"""The parts that push, put together. ``app.py`` has all the others."""

from typing import NamedTuple

from reference_impl.core.attendance import Attendance
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.ports import Clock, Store
from reference_impl.core.queue_ports import PushProvider, WorkQueue
from reference_impl.core.trace import HopRecorder
from reference_impl.outside import push_provider_for
from reference_impl.parts import Parts
from reference_impl.services.notification_service import NotificationService
from reference_impl.services.push_fallback import PushFallback
from reference_impl.settings import Settings


class PushParts(NamedTuple):
    """Decides who needs a push, asks for it, and makes it."""

    fallback: PushFallback
    notifications: NotificationService
    provider: PushProvider


def compose_push(
    parts: Parts,
    settings: Settings,
    *,
    push_queue: WorkQueue,
    store: Store,
    attendance: Attendance,
    event_bus: EventBus,
    recorder: HopRecorder,
    clock: Clock,
) -> PushParts:
    """A queue lies between asking and pushing: nobody waits for the provider, and no push is lost with an instance."""
    make = parts.make
    queue = make("push_queue", push_queue)
    provider = make("push_provider", push_provider_for(settings))
    notifications = make(
        "notification_service",
        NotificationService,
        queue=make("message_queue", MessageQueue, queue=queue, queue_name="push", worker=settings.instance_id),
        provider=provider,
        recorder=recorder,
    )
    fallback = make(
        "push_fallback",
        PushFallback,
        event_bus=event_bus,
        store=store,
        attendance=attendance,
        notifications=notifications,
        clock=clock,
        patience_s=settings.heartbeat_timeout_s,
    )
    return PushParts(fallback, notifications, provider)
