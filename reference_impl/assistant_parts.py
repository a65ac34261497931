"""The assistant's parts, put together. ``app.py`` has all the others."""

from typing import Any, NamedTuple

from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.ports import Clock, Store
from reference_impl.core.queue_ports import WorkQueue
from reference_impl.outside import ai_provider_for
from reference_impl.parts import Parts
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.ai_questions import AIQuestions
from reference_impl.services.ai_service import ATTEMPTS, AIService
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.message_service import MessageService
from reference_impl.settings import Settings


class AssistantParts(NamedTuple):
    """Finds what it is asked, and answers it."""

    questions: AIQuestions
    service: AIService


def compose_assistant(
    parts: Parts,
    settings: Settings,
    *,
    ai_queue: WorkQueue,
    store: Store,
    messages: MessageService,
    activity: ActivityService,
    broadcasting: BroadcastingService,
    event_bus: EventBus,
    clock: Clock,
) -> AssistantParts:
    """A queue of its own lies between the two: a slow model must not hold up pushes."""
    queue = parts.make(
        "ai_message_queue",
        MessageQueue,
        queue=parts.make("ai_queue", ai_queue),
        queue_name="ai",
        worker=settings.instance_id,
        max_attempts=ATTEMPTS,
        handler_timeout_s=settings.ai_timeout_s + 10,
    )
    common: dict[str, Any] = {"event_bus": event_bus, "store": store, "queue": queue, "clock": clock}
    return AssistantParts(
        questions=parts.make("ai_questions", AIQuestions, activity=activity, **common),
        service=parts.make(
            "ai_service",
            AIService,
            provider=parts.make("ai_provider", ai_provider_for(settings)),
            messages=messages,
            broadcasting=broadcasting,
            timeout_s=settings.ai_timeout_s,
            **common,
        ),
    )
