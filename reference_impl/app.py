"""The composition root: makes every part once, and hands it to those who need it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from reference_impl import __version__
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.api import auth, chat, docs, operations, operators, pages, websocket
from reference_impl.api.deps import Services
from reference_impl.api.doors import Doors, add_middleware
from reference_impl.assistant_parts import compose_assistant
from reference_impl.chat_system import ChatSystem
from reference_impl.core.attendance import Attendance
from reference_impl.core.clock import utc_now
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.connection_slots import ConnectionSlots
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.delivery_confirmations import DeliveryConfirmations
from reference_impl.core.distributed_connection_manager import DistributedConnectionManager
from reference_impl.core.event_bus import EventBus
from reference_impl.core.heartbeat_manager import HeartbeatManager
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.outbox_relay import OutboxRelay
from reference_impl.core.presence_announcer import PresenceAnnouncer
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.core.reconciler import Reconciler
from reference_impl.core.replay import Replay
from reference_impl.core.trace import recorder_for
from reference_impl.core.traffic import Traffic
from reference_impl.metrics import add_metrics_route
from reference_impl.model.connection_limits import ConnectionLimits
from reference_impl.model.heartbeat_policy import HeartbeatPolicy
from reference_impl.model.signatures import Signer
from reference_impl.monitor_parts import compose_monitor
from reference_impl.outside import shared_parts_for
from reference_impl.parts import Parts
from reference_impl.push_parts import compose_push
from reference_impl.services.access_service import AccessService
from reference_impl.services.activity_service import ActivityService
from reference_impl.services.audit_log import AuditLog
from reference_impl.services.authentication_service import AuthenticationService
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.circuit_reports import report_circuits
from reference_impl.services.conversation_service import ConversationService
from reference_impl.services.message_service import MessageService
from reference_impl.settings import Settings


def create_app(settings: Settings | None = None, **overrides: Any) -> FastAPI:
    """One instance of the chat server as an ASGI app; the settings come from the environment if not given.

    ``overrides`` replace parts by name: ``create_app(settings, presence_manager=MyPresenceManager)``. A class or
    function gets what the original would, all else is used as it is. Raises ``TypeError`` for a name that is no part.
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
    add_middleware(app, chat_system.services.settings, chat_system.services.traffic)
    docs.describe(app, is_demo=chat_system.services.settings.demo_login)
    add_metrics_route(app, chat_system)
    for door in (auth, chat, operations, operators, docs, websocket, pages):
        app.include_router(door.router)
    if chat_system.services.settings.demo_login:
        app.include_router(auth.demo_router)
    app.mount("/static", pages.pages)
    return app


def compose(settings: Settings, overrides: dict[str, Any]) -> ChatSystem:
    """All parts of one instance, put together. Read it from top to bottom: each part names what it needs."""
    parts = Parts(overrides)
    make = parts.make
    clock = overrides.get("clock", utc_now)
    secret_key = settings.secret_key or secrets.token_urlsafe(32)
    recorder = make("recorder", recorder_for, trace_file=settings.trace_file, instance_id=settings.instance_id)
    traffic = make("traffic", Traffic)
    shared = shared_parts_for(settings)
    store = make("store", SqlStore, database_url=settings.database_url)
    tickets = make("tickets", shared.tickets)

    event_bus = make("event_bus", EventBus, clock=clock)
    audit_log = make("audit_log", AuditLog, event_bus=event_bus)
    message_router = make(
        "message_router",
        MessageRouter,
        broker=make("broker", shared.broker),
        instance_id=settings.instance_id,
        recorder=recorder,
        signer=Signer(secret_key),
        max_message_size=settings.max_message_size,
        rate_limit_window=settings.rate_limit_window_s,
        rate_limit_max_messages=settings.rate_limit_max_messages,
        quota=make("message_quota", shared.message_quota),
    )
    connection_slots = make(
        "connection_slots",
        ConnectionSlots,
        store=make("slot_store", shared.slot_store),
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
        instance_id=settings.instance_id,
        clock=clock,
        recorder=recorder,
        outbox_frames=settings.outbox_frames,
        outbox_bytes=settings.outbox_bytes,
        traffic=traffic,
    )
    presence_announcer = make("presence_announcer", PresenceAnnouncer, router=message_router, conversations=store)
    presence_manager = make(
        "presence_manager",
        PresenceManager,
        store=make("presence_store", shared.presence_store),
        announce=presence_announcer.announce,
        lease_s=settings.presence_lease_s,
        recorder=recorder,
    )
    attendance = make("attendance", Attendance, presence_manager=presence_manager)
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
    memberships = make(
        "memberships", Memberships, store=store, connections=connection_manager, feeds=feeds, clock=clock
    )
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
        attendance=attendance,
        replay=make("replay", Replay, store=store, connections=connection_manager, clock=clock),
        event_bus=event_bus,
        instance_id=settings.instance_id,
        clock=clock,
    )
    confirmations = make(
        "delivery_confirmations",
        DeliveryConfirmations,
        feeds=feeds,
        store=store,
        event_bus=event_bus,
        clock=clock,
        patience_s=settings.heartbeat_timeout_s,
    )
    heartbeat = make(
        "heartbeat_manager",
        HeartbeatManager,
        connection_manager=connection_manager,
        policy=HeartbeatPolicy(settings.heartbeat_interval_s, settings.heartbeat_timeout_s),
        make_ping=confirmations.make_ping,
    )
    relay = make("outbox_relay", OutboxRelay, router=message_router, store=store, clock=clock, traffic=traffic)
    push = compose_push(
        parts,
        settings,
        push_queue=shared.push_queue,
        store=store,
        attendance=attendance,
        event_bus=event_bus,
        recorder=recorder,
        clock=clock,
    )
    broadcasting = make(
        "broadcasting_service",
        BroadcastingService,
        connection_manager=connections,
        notification_service=push.notifications,
        event_bus=event_bus,
        relay=relay,
        recorder=recorder,
        clock=clock,
    )
    messages = make(
        "message_service",
        MessageService,
        store=store,
        message_router=message_router,
        event_bus=event_bus,
        clock=clock,
        recorder=recorder,
        max_content_bytes=settings.max_message_size,
        traffic=traffic,
    )
    activity = make("activity_service", ActivityService, store=store, event_bus=event_bus, clock=clock)
    assistant = compose_assistant(
        parts,
        settings,
        ai_queue=shared.ai_queue,
        store=store,
        messages=messages,
        activity=activity,
        broadcasting=broadcasting,
        event_bus=event_bus,
        clock=clock,
    )
    circuits = {**shared.circuits, "push": push.provider.breaker, "ai": assistant.service.breaker}
    report_circuits(circuits, event_bus=event_bus, clock=clock)
    watch = compose_monitor(
        parts,
        settings,
        clock=clock,
        event_bus=event_bus,
        connections=connections,
        traffic=traffic,
        relay=relay,
        queues=[push.notifications.queue, assistant.service.queue],
        leans_on=[store, message_router, push.notifications, assistant.service],
        board=shared.board,
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
            "authentication_service", AuthenticationService, secret_key=secret_key, clock=clock, tickets=tickets
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
        messages=messages,
        activity=activity,
        broadcasting=broadcasting,
        traffic=traffic,
        monitor=watch.monitor,
        board=watch.board,
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
        notifications=push.notifications,
        push_fallback=push.fallback,
        alerts=watch.alerts,
        ai_service=assistant.service,
        ai_questions=assistant.questions,
    )
