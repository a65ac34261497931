"""The broker over a Redis cluster: sharded publish/subscribe."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import MovedError, RedisError

from reference_impl.adapters.redis_client import CLUSTER_SUFFIX, RedisLink, cluster_client, redis_client
from reference_impl.adapters.redis_listener import RedisListener
from reference_impl.adapters.redis_publisher import RedisPublisher
from reference_impl.core.ports import Broker, MessageHandler
from reference_impl.model.health import Health

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often we look who owns which channel, though nothing seems wrong."""

LOOK_AGAIN_S = 0.5
"""How often, while something is."""


class Node(NamedTuple):
    """A primary of the cluster."""

    host: str
    port: int


class RedisClusterBroker(Broker):
    """One connection listens to each primary that owns channels of ours, and one publishes there.

    In a cluster, PUBLISH goes to every node and is passed on by all of them: what one message costs grows with the
    cluster. SPUBLISH goes to the one node whose slot the channel's name falls into, and only who listens there gets
    it. So a conversation lives on one node, and conversations spread over all.

    Slots move, and nodes fail. When a listener loses its link or a channel, the owners are looked up again; each
    channel then follows its slot, and after that the gap is reported.
    """

    def __init__(self, url: str, link: RedisLink, *, prefix: str = "") -> None:
        self._prefix = prefix
        self._link = link
        self._url = urlsplit(url.replace(CLUSTER_SUFFIX, "", 1))
        self._cluster = cluster_client(url)
        self._on_message: MessageHandler = _nobody
        self._on_gap: Callable[[], None] = lambda: None
        self._listeners: dict[Node, RedisListener] = {}
        self._owners: dict[str, Node] = {}  # channel, with the prefix -> where we listen to it
        self._publishers: dict[Node, RedisPublisher] = {}
        self._in_order = asyncio.Lock()
        self._unsettled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        """Starts to watch the cluster. Listeners start with their first channel."""
        self._on_message, self._on_gap = on_message, on_gap
        self._task = asyncio.create_task(self._watch(), name="redis cluster watch")

    async def publish(self, channel: str, payload: bytes) -> int:
        """One SPUBLISH to the channel's own node, or a second to where that says it has moved."""
        name = self._prefix + channel
        with self._link.attempt("publishing"):
            async with self._in_order:  # while the cluster is not known yet, this is the queue
                owner = await self._owner_of(name)
                if owner is None:
                    raise ConnectionError("the cluster does not say who owns the channel")
                receivers = self._publisher_at(owner).ask("SPUBLISH", name, payload)
            try:
                return int(await receivers)
            except MovedError as moved:
                self._unsettled.set()
                owner = Node(moved.host or owner.host, int(moved.port))
                return int(await self._publisher_at(owner).ask("SPUBLISH", name, payload))
            except (RedisError, OSError):
                self._unsettled.set()
                raise

    async def subscribe(self, channel: str) -> bool:
        """Subscribes at the node that owns the channel, and waits for it to confirm."""
        name = self._prefix + channel
        owner = await self._owner_of(name)
        if owner is None:
            self._owners.setdefault(name, NOWHERE)
            self._unsettled.set()
            return False
        self._owners[name] = owner
        return await self._listener_at(owner).subscribe(name)

    async def unsubscribe(self, channel: str) -> None:
        """Ends it where it is."""
        name = self._prefix + channel
        owner = self._owners.pop(name, NOWHERE)
        if owner in self._listeners:
            await self._listeners[owner].unsubscribe(name)

    @property
    def is_live(self) -> bool:
        """Whether every channel has an owner, and every link to one is up."""
        is_settled = self._task is not None and not self._unsettled.is_set() and NOWHERE not in self._owners.values()
        return is_settled and all(listener.is_live for listener in self._listeners.values())

    def health(self) -> Health:
        """Of both: the listening, and the link for commands."""
        return self._link.health("broker", is_listening=self.is_live)

    async def stop(self) -> None:
        """Ends the watch, the listeners, the publishers and the links. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        parts: list[RedisListener | RedisPublisher] = [*self._listeners.values(), *self._publishers.values()]
        await asyncio.gather(*(part.stop() for part in parts))
        self._listeners.clear()
        self._publishers.clear()
        await self._cluster.aclose()
        await self._link.stop()

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._unsettled.wait()
            except TimeoutError:
                pass
            try:
                await self._cluster.nodes_manager.initialize()
                self._unsettled.clear()
                await self._follow()
            except (RedisError, OSError) as error:
                logger.warning("the cluster does not say who owns what: %s", type(error).__name__)
                self._unsettled.set()
            except Exception:
                logger.exception("looking after the cluster failed, trying again")
                self._unsettled.set()
            if self._unsettled.is_set():
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _follow(self) -> None:
        """Moves each channel to where its slot is now; reports the gap when one has moved."""
        moved = False
        for name, at in tuple(self._owners.items()):
            owner = await self._owner_of(name)
            if owner is None or owner == at or name not in self._owners:
                continue
            if at in self._listeners:
                await self._listeners[at].unsubscribe(name)
            self._owners[name] = owner
            moved |= await self._listener_at(owner).subscribe(name)
        for node in self._listeners.keys() - set(self._owners.values()):
            await self._listeners.pop(node).stop()
        primaries = {Node(str(node.host), int(node.port)) for node in self._cluster.get_primaries()}
        for node in self._publishers.keys() - primaries:
            await self._publishers.pop(node).stop()
        if moved:
            self._on_gap()

    async def _owner_of(self, name: str) -> Node | None:
        """The primary whose slot the channel falls into; None when the cluster does not say."""
        try:
            await self._cluster.initialize()
            node = self._cluster.get_node_from_key(name)
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("no owner of a channel: %s", error)
            return None
        return Node(str(node.host), int(node.port)) if node is not None else None

    def _listener_at(self, node: Node) -> RedisListener:
        if node not in self._listeners:
            listener = RedisListener(
                self._client_of(node),
                own_channel=self._prefix + "ws:listener",
                on_message=lambda name, payload: self._on_message(name.removeprefix(self._prefix), payload),
                on_gap=lambda: self._on_gap(),
                on_lost=self._unsettled.set,
                sharded=True,
                name=f"redis listener at {node.host}:{node.port}",
            )
            self._listeners[node] = listener
            listener.start()
        return self._listeners[node]

    def _publisher_at(self, node: Node) -> RedisPublisher:
        if node not in self._publishers:
            self._publishers[node] = RedisPublisher(self._client_of(node))
        return self._publishers[node]

    def _client_of(self, node: Node) -> Redis:
        """What leads to one node, with the sign-in and the encryption of the cluster's URL."""
        sign_in, at, _ = self._url.netloc.rpartition("@")
        host = f"[{node.host}]" if ":" in node.host else node.host
        return redis_client(urlunsplit(self._url._replace(netloc=f"{sign_in}{at}{host}:{node.port}")))


NOWHERE = Node("", 0)
"""Of a channel whose owner is not known yet."""


def _nobody(_channel: str, _payload: bytes) -> None:
    """Before the start nobody listens."""
