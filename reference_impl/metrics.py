"""What an instance counts, in Prometheus' text format."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from reference_impl.api.deps import Onlooker
from reference_impl.chat_system import ChatSystem
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.connection_limits import LimitKind
from reference_impl.model.health import HealthState

FIRST_FREE_CODE = 3000
"""From here on a close code means what its sender wants it to mean: RFC 6455, section 7.4.2."""

JOB_FATES = ("done", "retried", "dead", "reclaimed", "refused")


class ChatCollector(Collector):
    """Reads the parts' own counters when it is asked: nothing is counted twice, and nothing costs between scrapes.

    No label names a user or a conversation: what is scraped is kept for long, and read by many.
    """

    def __init__(self, chat: ChatSystem) -> None:
        self._chat = chat

    def collect(self) -> Iterable[Metric]:
        """One value each."""
        for name, help_text, gauge in self._gauges():
            yield GaugeMetricFamily(name, help_text, value=gauge)
        for name, help_text, count in self._counters():
            yield CounterMetricFamily(name, help_text, value=count)
        yield from self._labelled_counters()
        yield from self._durations()
        yield self._health()
        yield self._alerts()

    def _labelled_counters(self) -> Iterable[Metric]:
        traffic = self._chat.services.traffic
        counts: list[tuple[str, str, str, Counter[int] | Counter[str]]] = [
            ("chat_errors", "What was refused or failed, at both doors", "code", traffic.errors),
            ("chat_connections_closed", "Connections that ended", "code", _by_known_code(traffic.closed)),
            ("chat_connections_refused", "Sockets closed before they were let in", "code", traffic.refused),
            ("chat_http_requests", "HTTP requests, without those of monitors", "status", traffic.requests),
            ("chat_events", "Events that were published", "type", self._chat.event_bus.published),
        ]
        for name, help_text, label, counter in counts:
            family = CounterMetricFamily(name, help_text, labels=[label])
            for value, count in counter.items():
                family.add_metric([str(value)], count)
            yield family

    def _durations(self) -> Iterable[Metric]:
        traffic = self._chat.services.traffic
        for name, help_text, durations in (
            ("chat_frame_seconds", "From a frame's arrival until it was dealt with", traffic.frame_seconds),
            ("chat_commit_seconds", "From the wish to store a message until it was durable", traffic.commit_seconds),
            ("chat_publish_seconds", "From there until all instances were told", traffic.publish_seconds),
            ("chat_http_request_seconds", "Until the answer was sent", traffic.request_seconds),
        ):
            yield HistogramMetricFamily(name, help_text, buckets=durations.cumulative(), sum_value=durations.sum)

    def _health(self) -> Metric:
        states = GaugeMetricFamily("chat_part_state", "1 for the state that each part is in", labels=["part", "state"])
        for health in self._chat.services.monitor.health():
            for state in HealthState:
                states.add_metric([health.part, state.value], health.state is state)
        return states

    def _alerts(self) -> Metric:
        firing = {alert.rule.name for alert in self._chat.services.monitor.firing}
        alerts = GaugeMetricFamily("chat_alert_firing", "1 while an alert fires", labels=["alert"])
        for rule in self._chat.services.monitor.rules:
            alerts.add_metric([rule.name], rule.name in firing)
        return alerts

    def _gauges(self) -> list[tuple[str, str, float]]:
        connections = self._chat.connections
        manager = connections.connection_manager
        doors = self._chat.services.doors
        return [
            ("chat_connections", "WebSocket connections now", len(manager.index)),
            ("chat_tasks", "Tasks of the event loop; if they only grow they leak", len(asyncio.all_tasks())),
            ("chat_sockets", "Sockets of clients, whatever they are for", doors.sockets.present),
            ("chat_sockets_waiting", "Sockets that have not signed in yet", len(doors.waiting_room)),
            ("chat_connected_users", "Users with a connection here", len(manager.connections_by_user)),
            ("chat_conversations", "Conversations with a member here", len(connections.conversation_feeds)),
            ("chat_outbox_frames", "Frames waiting for a socket", sum(len(one.outbox) for one in manager.index)),
            ("chat_presence_leases", "Leases this instance renews", len(connections.presence_manager.held_leases)),
            ("chat_broker_live", "1 while other instances' messages arrive", connections.message_router.is_live),
            (
                "chat_pushes_undecided",
                "Conversations where a member may need a push",
                self._chat.push_fallback.undecided,
            ),
            (
                "chat_push_jobs_waiting",
                "Push jobs in the queue, of all instances",
                self._chat.notifications.queue.sizes.waiting,
            ),
            ("chat_dead_letters", "Push jobs that were given up", self._chat.notifications.queue.sizes.dead),
            ("chat_outbox_lag_seconds", "How long stored messages wait to be announced", self._chat.relay.lag_s),
            ("chat_draining", "1 while the instance is going away", connections.is_draining),
        ]

    def _counters(self) -> list[tuple[str, str, float]]:
        chat = self._chat
        queue = chat.notifications.queue
        connections = chat.connections
        manager = connections.connection_manager
        doors = chat.services.doors
        traffic = chat.services.traffic
        slots, limits = connections.connection_slots, connections.message_router.limits
        return [
            ("chat_connections_opened", "WebSocket connections that were let in", traffic.connections),
            ("chat_frames_received", "Frames that clients sent", traffic.received),
            ("chat_frames_sent", "Frames handed to the network", traffic.sent),
            ("chat_messages_late", "Messages left to the outbox sweep", chat.relay.late),
            ("chat_sweeps", "Conversations announced by the sweep", chat.relay.swept),
            ("chat_messages_repaired", "Messages read from the store", connections.conversation_feeds.repaired),
            ("chat_slow_consumers", "Connections closed since they read too slowly", manager.too_slow),
            *(
                (f"chat_connections_refused_{kind.value}", "Connections over a limit", slots.refused[kind])
                for kind in LimitKind
            ),
            ("chat_connections_unshared", "Connections counted by this instance alone", slots.unshared),
            ("chat_messages_rate_limited", "Messages over the limit of their sender", limits.refused),
            ("chat_messages_unshared", "Messages counted by this instance alone", limits.unshared),
            ("chat_frames_superseded", "Typing and presence frames overtaken by newer ones", manager.superseded),
            ("chat_frames_lost", "Typing and position frames not published", chat.broadcasting.lost_frames),
            ("chat_bus_unreadable", "Bus messages that made no sense", connections.message_router.unreadable),
            ("chat_bus_forged", "Bus messages not signed with our key", connections.message_router.forged),
            ("chat_origins_refused", "Requests and sockets of pages that are not allowed", doors.origins.refused),
            ("chat_sockets_nameless", "Sockets closed since they did not sign in", doors.waiting_room.nameless),
            ("chat_sockets_unwaited", "Sockets for which the waiting room was full", doors.waiting_room.refused),
            ("chat_sockets_refused", "Sockets beyond what the process may hold", doors.sockets.refused),
            (
                "chat_sockets_stalled",
                "Sockets ended since they were too slow",
                doors.sockets.stalled,
            ),
            ("chat_pushes_asked", "Pushes asked for by this instance", chat.push_fallback.asked),
            *(
                (f"chat_push_jobs_{what}", "Push jobs, by what became of them", queue.counts[what])
                for what in JOB_FATES
            ),
            ("chat_handler_failures", "Event handlers that raised", chat.event_bus.failures),
            ("chat_handlers_slow", "Event handlers that took too long", chat.event_bus.slow),
        ]


def metrics_of(chat: ChatSystem) -> bytes:
    """All metrics of an instance. Its own registry: two instances in one process share nothing."""
    registry = CollectorRegistry()
    registry.register(ChatCollector(chat))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _by_known_code(closed: Counter[int]) -> Counter[str]:
    """Codes that a client has made up are one: each value of a label is a series, which is kept for long."""
    counts = Counter[str]()
    for code, count in closed.items():
        counts[str(code) if code < FIRST_FREE_CODE or code in set(CloseCode) else "other"] += count
    return counts


def add_metrics_route(app: FastAPI, chat: ChatSystem) -> None:
    """Outside demo mode for operators only."""

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse, dependencies=[Onlooker])
    async def metrics() -> PlainTextResponse:
        """Counters and gauges for Prometheus. Outside demo mode for operators only."""
        return PlainTextResponse(metrics_of(chat), media_type=CONTENT_TYPE_LATEST)
