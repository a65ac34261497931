"""The composition root: makes every part once, and hands it to those who need it."""

import inspect
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST as METRICS_TYPE

from reference_impl import __version__
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.api import auth, chat, docs, operations, operators, pages, websocket
from reference_impl.api.deps import Onlooker, Services
from reference_impl.api.doors import Doors, add_middleware
from reference_impl.chat_system import ChatSystem
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.connection_slots import ConnectionSlots
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.delivery_confirmations import DeliveryConfirmations
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.heartbeat_manager import HeartbeatManager
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.presence_announcer import PresenceAnnouncer
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.core.reconciler import Reconciler
from reference_impl.core.replay import Replay
from reference_impl.core.trace import FileHopRecorder, HopRecorder
from reference_impl.metrics import metrics_of
from reference_impl.model.connection_limits import ConnectionLimits
from reference_impl.model.heartbeat_policy import HeartbeatPolicy
from reference_impl.model.signatures import Signer
from reference_impl.outside import push_provider_for, shared_parts_for
from reference_impl.services.access_service import AccessService
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.audit_log import AuditLog
from reference_impl.services.authentication_service import AuthenticationService
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.circuit_reports import report_circuit
from reference_impl.services.conversation_service import ConversationService
from reference_impl.services.message_service import MessageService
from reference_impl.services.notification_service import NotificationService
from reference_impl.services.push_fallback import PushFallback
from reference_impl.settings import Settings


def utc_now() -> datetime:
    """The clock of the whole instance."""
    return datetime.now(UTC)


def create_app(settings: Settings | None = None, **overrides: Any) -> FastAPI:
    """One instance of the chat server as an ASGI app; the settings come from the environment if not given.

    ``overrides`` replace parts by name. A class or function is called with the arguments that the original
    would get, anything else is used as it is: ``create_app(settings, presence_manager=MyPresenceManager)``.
    Raises ``TypeError`` for a name that is no part.
    """
    chat_system = compose(settings or Settings(), overrides)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await chat_system.start()
        try:
            yield
        finally:
            await chat_system.stop()

    app = FastAPI(title="Breakwire chat", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.chat = chat_system
    app.state.services = chat_system.services
    app.state.peer_urls = chat_system.services.settings.peer_urls
    add_middleware(app, chat_system.services.settings)

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse, dependencies=[Onlooker])
    async def metrics() -> PlainTextResponse:
        """Counters and gauges for Prometheus. Outside demo mode for operators only."""
        return PlainTextResponse(metrics_of(chat_system), media_type=METRICS_TYPE)

    routers = [auth.router, chat.router, operations.router, operators.router, docs.router, websocket.router]
    routers.append(pages.router)
    if chat_system.services.settings.demo_login:
        routers.append(auth.demo_router)
    for router in routers:
        app.include_router(router)
    app.mount("/static", pages.pages)
    return app


class _Parts:
    """Makes parts, or what was given in their place."""

    def __init__(self, overrides: dict[str, Any]) -> None:
        self._overrides = overrides
        self._known: list[str] = []

    def make(self, name: str, original: Any, **arguments: Any) -> Any:
        self._known.append(name)
        part = self._overrides.get(name, original)
        return part(**arguments) if inspect.isclass(part) or inspect.isroutine(part) else part

    def require_all_known(self) -> None:
        unknown = sorted(self._overrides.keys() - set(self._known) - {"clock"})
        if unknown:
            names = ", ".join(sorted([*self._known, "clock"]))
            raise TypeError(f"no part is named {', '.join(unknown)}; the parts are {names}")


def compose(settings: Settings, overrides: dict[str, Any]) -> ChatSystem:
    """All parts of one instance, put together. Read it from top to bottom: each part names what it needs."""
    parts = _Parts(overrides)
    make = parts.make
    clock = overrides.get("clock", utc_now)
    instance_id = settings.instance_id
    secret_key = settings.secret_key or secrets.token_urlsafe(32)
    recorder = make("recorder", _recorder, settings=settings)

    shared = shared_parts_for(settings)
    store = make("store", SqlStore, database_url=settings.database_url)
    broker = make("broker", shared.broker)
    presence_store = make("presence_store", shared.presence_store)
    tickets = make("tickets", shared.tickets)
    push_queue = make("push_queue", shared.push_queue)
    slot_store = make("slot_store", shared.slot_store)
    message_quota = make("message_quota", shared.message_quota)

    event_bus = make("event_bus", EventBus, clock=clock)
    audit_log = make("audit_log", AuditLog, event_bus=event_bus)
    message_router = make(
        "message_router",
        MessageRouter,
        broker=broker,
        instance_id=instance_id,
        recorder=recorder,
        signer=Signer(secret_key),
        max_message_size=settings.max_message_size,
        rate_limit_window=settings.rate_limit_window_s,
        rate_limit_max_messages=settings.rate_limit_max_messages,
        quota=message_quota,
    )
    connection_slots = make(
        "connection_slots",
        ConnectionSlots,
        store=slot_store,
        limits=ConnectionLimits(
            per_user=settings.max_connections_per_user,
            per_address=settings.max_connections_per_ip,
            per_instance=settings.max_connections_per_instance,
        ),
        lease_s=settings.presence_lease_s,
    )
    connection_manager = make(
        "connection_manager",
        ConnectionManager,
        max_connections_per_user=settings.max_connections_per_user,
        max_connections=settings.max_connections_per_instance,
        instance_id=instance_id,
        clock=clock,
        recorder=recorder,
        outbox_frames=settings.outbox_frames,
        outbox_bytes=settings.outbox_bytes,
    )
    presence_announcer = make("presence_announcer", PresenceAnnouncer, router=message_router, conversations=store)
    presence_manager = make(
        "presence_manager",
        PresenceManager,
        store=presence_store,
        announce=presence_announcer.announce,
        lease_s=settings.presence_lease_s,
        recorder=recorder,
    )
    feeds = make(
        "conversation_feeds",
        ConversationFeeds,
        router=message_router,
        store=store,
        connections=connection_manager,
        event_bus=event_bus,
        clock=clock,
        recorder=recorder,
    )
    memberships = make("memberships", Memberships, store=store, connections=connection_manager, feeds=feeds)
    reconciler = make("reconciler", Reconciler, router=message_router, feeds=feeds, memberships=memberships)
    connections = make(
        "distributed_connection_manager",
        DistributedConnectionManager,
        connection_manager=connection_manager,
        connection_slots=connection_slots,
        message_router=message_router,
        presence_manager=presence_manager,
        conversation_feeds=feeds,
        memberships=memberships,
        replay=make("replay", Replay, store=store, connections=connection_manager, clock=clock),
        event_bus=event_bus,
        instance_id=instance_id,
        clock=clock,
    )
    confirmations = make("delivery_confirmations", DeliveryConfirmations, feeds=feeds, store=store, clock=clock)
    heartbeat = make(
        "heartbeat_manager",
        HeartbeatManager,
        connection_manager=connection_manager,
        policy=HeartbeatPolicy(settings.heartbeat_interval_s, settings.heartbeat_timeout_s),
        make_ping=confirmations.make_ping,
    )
    relay = make("outbox_relay", OutboxRelay, router=message_router, store=store, clock=clock)
    push_provider = make("push_provider", push_provider_for(settings))
    for service, breaker in (shared.circuits | {"push": push_provider.breaker}).items():
        if breaker is not None:
            report_circuit(breaker, service, event_bus=event_bus, clock=clock)
    notifications = make(
        "notification_service",
        NotificationService,
        queue=make("message_queue", MessageQueue, queue=push_queue, worker=instance_id),
        provider=push_provider,
        recorder=recorder,
    )
    broadcasting = make(
        "broadcasting_service",
        BroadcastingService,
        connection_manager=connections,
        notification_service=notifications,
        event_bus=event_bus,
        relay=relay,
        recorder=recorder,
        clock=clock,
    )
    push_fallback = make(
        "push_fallback",
        PushFallback,
        event_bus=event_bus,
        store=store,
        presence_manager=presence_manager,
        notifications=notifications,
        clock=clock,
        patience_s=settings.heartbeat_timeout_s,
    )

    services = Services(
        settings=settings,
        doors=Doors.of(settings),
        event_bus=event_bus,
        clock=clock,
        recorder=recorder,
        connections=connections,
        confirmations=confirmations,
        authentication=make(
            "authentication_service",
            AuthenticationService,
            secret_key=secret_key,
            clock=clock,
            tickets=tickets,
        ),
        access=make(
            "access_service",
            AccessService,
            store=store,
            memberships=memberships,
            message_router=message_router,
            clock=clock,
        ),
        conversations=make(
            "conversation_service",
            ConversationService,
            store=store,
            message_router=message_router,
            clock=clock,
            create_named_users=settings.demo_login,
        ),
        messages=make(
            "message_service",
            MessageService,
            store=store,
            message_router=message_router,
            event_bus=event_bus,
            clock=clock,
            recorder=recorder,
            max_content_bytes=settings.max_message_size,
        ),
        activity=make("activity_service", ActivityService, store=store, event_bus=event_bus, clock=clock),
        parts=[store, message_router, notifications],
    )
    parts.require_all_known()
    return ChatSystem(
        services=services,
        store=store,
        event_bus=event_bus,
        audit_log=audit_log,
        relay=relay,
        broadcasting=broadcasting,
        connections=connections,
        heartbeat=heartbeat,
        reconciler=reconciler,
        presence_announcer=presence_announcer,
        notifications=notifications,
        push_fallback=push_fallback,
    )


def _recorder(settings: Settings) -> HopRecorder:
    if settings.trace_file is None:
        return HopRecorder()
    return FileHopRecorder(settings.trace_file, settings.instance_id)
