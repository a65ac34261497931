"""What an instance shares with the others, and what it calls outside: chosen by the settings."""

from typing import Any, NamedTuple

from reference_impl.adapters.ai_offline import OfflineAiProvider
from reference_impl.adapters.ai_openai import OpenAiProvider
from reference_impl.adapters.board_memory import MemoryBoard
from reference_impl.adapters.board_redis import RedisBoard
from reference_impl.adapters.broker_memory import MemoryBroker
from reference_impl.adapters.broker_redis import RedisBroker
from reference_impl.adapters.broker_redis_cluster import RedisClusterBroker
from reference_impl.adapters.limits_memory import MemoryMessageQuota, MemorySlotStore
from reference_impl.adapters.limits_redis import RedisMessageQuota, RedisSlotStore
from reference_impl.adapters.presence_memory import MemoryPresenceStore
from reference_impl.adapters.presence_redis import RedisPresenceStore
from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.push_webhook import WebhookPushProvider
from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink, is_cluster
from reference_impl.adapters.signed_webhook import SignedWebhook
from reference_impl.adapters.tickets_memory import MemoryTicketStore
from reference_impl.adapters.tickets_redis import RedisTicketStore
from reference_impl.core.ai_port import AiProvider
from reference_impl.core.board_ports import Board
from reference_impl.core.limit_ports import MessageQuota, SlotStore
from reference_impl.core.ports import Broker, PresenceStore, TicketStore
from reference_impl.core.queue_ports import PushProvider, Webhook, WorkQueue
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.settings import Settings

PUSH_QUEUE, AI_QUEUE = "push", "ai"


class SharedParts(NamedTuple):
    """The adapters whose other side all instances share."""

    broker: Broker
    presence_store: PresenceStore
    tickets: TicketStore
    push_queue: WorkQueue
    board: Board
    ai_queue: WorkQueue
    slot_store: SlotStore
    message_quota: MessageQuota
    circuits: dict[str, CircuitBreaker]
    """What the other side is called → the breaker that keeps us from asking it while it is away."""


def shared_parts_for(settings: Settings) -> SharedParts:
    """Over Redis; without one, in this process: then there is nobody to share with."""
    quota: dict[str, Any] = {
        "max_messages": settings.rate_limit_max_messages,
        "window_s": settings.rate_limit_window_s,
    }
    if not settings.redis_url:
        return SharedParts(
            broker=MemoryBroker(),
            presence_store=MemoryPresenceStore(),
            tickets=MemoryTicketStore(),
            push_queue=MemoryWorkQueue(),
            board=MemoryBoard(),
            ai_queue=MemoryWorkQueue(),
            slot_store=MemorySlotStore(),
            message_quota=MemoryMessageQuota(**quota),
            circuits={},
        )
    url, prefix = settings.redis_url, settings.redis_prefix
    link = RedisLink(url)
    make_broker = RedisClusterBroker if is_cluster(url) else RedisBroker
    return SharedParts(
        broker=make_broker(url, link, prefix=prefix),
        presence_store=RedisPresenceStore(link, prefix=prefix),
        tickets=RedisTicketStore(link, prefix=prefix),
        push_queue=RedisWorkQueue(url, link, name=PUSH_QUEUE, prefix=prefix),
        board=RedisBoard(link, prefix=prefix),
        ai_queue=RedisWorkQueue(url, link, name=AI_QUEUE, prefix=prefix),
        slot_store=RedisSlotStore(link, prefix=prefix),
        message_quota=RedisMessageQuota(link, prefix=prefix, **quota),
        circuits={"Redis": link.breaker},
    )


def push_provider_for(settings: Settings) -> PushProvider:
    """The webhook that is set, else one that only notes what it would push."""
    if settings.push_webhook_url:
        return WebhookPushProvider(settings.push_webhook_url, settings.push_webhook_secret)
    return ConsolePushProvider()


def ai_provider_for(settings: Settings) -> AiProvider:
    """The service that is set, else one that needs none."""
    if settings.ai_url:
        return OpenAiProvider(
            settings.ai_url, key=settings.ai_key, model=settings.ai_model, timeout_s=settings.ai_timeout_s
        )
    return OfflineAiProvider()


def alert_webhook_for(settings: Settings) -> Webhook | None:
    """Where alerts go, if that is set."""
    if not settings.alert_webhook_url:
        return None
    return SignedWebhook(settings.alert_webhook_url, settings.alert_webhook_secret, name="alert")
