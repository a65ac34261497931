"""What an instance shares with the others, and what it calls outside: chosen by the settings."""

from typing import NamedTuple

from reference_impl.adapters.board_memory import MemoryBoard
from reference_impl.adapters.board_redis import RedisBoard
from reference_impl.adapters.broker_memory import MemoryBroker
from reference_impl.adapters.broker_redis import RedisBroker
from reference_impl.adapters.broker_redis_cluster import RedisClusterBroker
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
from reference_impl.core.board_ports import Board
from reference_impl.core.ports import Broker, PresenceStore, TicketStore
from reference_impl.core.queue_ports import PushProvider, Webhook, WorkQueue
from reference_impl.settings import Settings

PUSH_QUEUE = "push"


class SharedParts(NamedTuple):
    """The adapters whose other side all instances share."""

    broker: Broker
    presence_store: PresenceStore
    tickets: TicketStore
    push_queue: WorkQueue
    board: Board


def shared_parts_for(settings: Settings) -> SharedParts:
    """Over Redis; without one, in this process: then there is nobody to share with."""
    if not settings.redis_url:
        return SharedParts(MemoryBroker(), MemoryPresenceStore(), MemoryTicketStore(), MemoryWorkQueue(), MemoryBoard())
    url, prefix = settings.redis_url, settings.redis_prefix
    link = RedisLink(url)
    make_broker = RedisClusterBroker if is_cluster(url) else RedisBroker
    return SharedParts(
        broker=make_broker(url, link, prefix=prefix),
        presence_store=RedisPresenceStore(link, prefix=prefix),
        tickets=RedisTicketStore(link, prefix=prefix),
        push_queue=RedisWorkQueue(url, link, name=PUSH_QUEUE, prefix=prefix),
        board=RedisBoard(link, prefix=prefix),
    )


def push_provider_for(settings: Settings) -> PushProvider:
    """The webhook that is set, else one that only notes what it would push."""
    if settings.push_webhook_url:
        return WebhookPushProvider(settings.push_webhook_url, settings.push_webhook_secret)
    return ConsolePushProvider()


def alert_webhook_for(settings: Settings) -> Webhook | None:
    """Where alerts go, if that is set."""
    if not settings.alert_webhook_url:
        return None
    return SignedWebhook(settings.alert_webhook_url, settings.alert_webhook_secret, name="alert")
