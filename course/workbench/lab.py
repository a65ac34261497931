"""``Lab``: the chat system under a learner's hands."""

import asyncio
import secrets
from types import TracebackType
from typing import Any, Self

import httpx2

from course.errors import UserError
from course.workbench.chat_page import ChatPage, ChatPages, LabPages
from course.workbench.client import Ack, LabClient
from course.workbench.cluster import DRAIN_DEADLINE_S, Cluster
from course.workbench.lab_people import LabPeople
from course.workbench.lab_redis import LabRedis
from course.workbench.lab_settings import lab_settings
from course.workbench.live import LiveView, LiveViews
from course.workbench.recorder import LabRecorder
from course.workbench.sign_in import SignIn, open_socket
from course.workbench.topology import topology_of
from course.workbench.trace import Trace
from course.workbench.views.state import InstanceState
from course.workbench.views.topology import Topology

__all__ = ["Lab", "SignIn"]

TICK_S = 0.2


class Lab:
    """Real server processes, a real Redis, real sockets, for as long as the block lasts.

        async with Lab(instances=2) as lab:
            alice = await lab.client("alice", instance=0)
            ack = await alice.send("hello")
            lab.trace(ack)

    ``settings`` are the server's, by name: ``settings={"HEARTBEAT_INTERVAL_S": 1}``. ``overrides`` replace parts
    of the server by classes of the learner's own. ``traced=False`` is for measurements: no hop is recorded, and the
    instances reach Redis directly, so their links can not be broken. Nothing is left behind, however it all ends.
    """

    def __init__(
        self,
        instances: int = 2,
        *,
        settings: dict[str, Any] | None = None,
        overrides: dict[str, Any] | None = None,
        redis_url: str | None = None,
        database_url: str | None = None,
        traced: bool = True,
    ) -> None:
        self.key_prefix = f"lab-{secrets.token_hex(8)}:"
        """What every key and channel in Redis begins with: labs can share one."""
        self._cluster = Cluster(
            instances,
            settings={"REDIS_PREFIX": self.key_prefix} | lab_settings(settings),
            overrides=overrides,
            redis_url=redis_url,
            database_url=database_url,
            traced=traced,
            breakable=traced,
        )
        self.clients: list[LabClient] = []
        self._traced = traced
        self._recorder = LabRecorder()
        self._people = LabPeople(self._cluster)
        self._live = LiveViews(self._cluster, self._recorder, self._people.names)
        self._pages = LabPages(self.url, self.conversation)
        self._ticker: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, *args: Any, **options: Any) -> Self:
        """A started lab, for notebooks that spread it over several cells. End it with ``stop``."""
        return await cls(*args, **options).__aenter__()

    async def __aenter__(self) -> Self:
        await self._cluster.start()
        if self._cluster.redis.notice:
            print(self._cluster.redis.notice)  # noqa: T201 - people must see it, in a notebook too
        self._ticker = asyncio.create_task(_tick(), name="lab ticker")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ends clients, instances and Redis, and removes the folder. Idempotent."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
            self._ticker = None
        await self._live.stop()
        self._pages.stop()
        for client in self.clients:
            client.kill()
        try:
            await asyncio.gather(*(client.close() for client in self.clients))
            await self._people.close()
        finally:
            await self._cluster.stop()
            await self._forget_keys()

    # -- users and clients -----------------------------------------------------------------------------------

    async def client(
        self,
        user: str,
        *,
        instance: int = 0,
        conversation: str | None = "general",
        device_type: str = "web",
        device_id: str | None = None,
        sign_in: SignIn = "subprotocol",
        last_seq: int | None = None,
    ) -> LabClient:
        """Connects a device of ``user`` to a conversation, and returns when the server has said ``connected``.

        The conversation is made when it is first named; whoever connects to it is added to it before. None
        connects the device to all conversations of its user. ``last_seq`` resumes: what follows it comes again.
        """
        conversation_id = await self.conversation(conversation, user) if conversation is not None else None
        client = await self.connect(
            user,
            instance=instance,
            conversation_id=conversation_id,
            device_type=device_type,
            device_id=device_id,
            sign_in=sign_in,
            last_seq=last_seq,
        )
        await client.expect("connected")
        return client

    async def connect(
        self,
        user: str,
        *,
        instance: int,
        conversation_id: str | None,
        device_type: str = "web",
        device_id: str | None = None,
        sign_in: SignIn = "subprotocol",
        token: str | None = None,
        last_seq: int | str | None = None,
    ) -> LabClient:
        """Opens a socket to any conversation with any token, and waits for nothing. For tries that are to fail."""
        token = token if token is not None else await self.token(user)
        device = {"device_type": device_type} | ({"device_id": device_id} if device_id else {})
        resume = {} if last_seq is None else {"last_seq": str(last_seq)}
        credential = await self._people.ticket(token, instance) if sign_in == "ticket" else token
        websocket = await open_socket(self.ws_url(instance, conversation_id), sign_in, credential, device | resume)
        client = LabClient(
            websocket, user=user, instance=instance, conversation_id=conversation_id, note_hop=self._recorder.note
        )
        self.clients.append(client)
        if sign_in == "first_frame":
            await client.send_frame({"type": "auth", "token": token})
        return client

    async def token(self, user: str) -> str:
        """An access token of ``user``, who exists from now on."""
        return await self._people.token(user)

    async def http(self, user: str, *, instance: int = 0) -> httpx2.AsyncClient:
        """An HTTP client that is signed in as ``user``. The lab closes it."""
        return await self._people.signed_in(user, instance)

    async def conversation(self, name: str, *users: str) -> str:
        """The id of the conversation called ``name``, with ``users`` in it. Made when it is first named."""
        return await self._people.conversation(name, *users)

    def page(
        self,
        user: str,
        *,
        instance: int = 0,
        conversation: str | None = "general",
        height: int = 600,
        through_jupyter: bool | None = None,
    ) -> ChatPage:
        """The chat page of an instance, shown in the cell, with ``user`` signed in and in the conversation.

        When the instance ends, the page goes on with another one. On a JupyterHub it comes through Jupyter's own
        port; ``through_jupyter`` says so elsewhere. Raises ``UserError`` for an instance that is none.
        """
        return self._pages.page(user, instance, conversation, height, through_jupyter=through_jupyter)

    def pages(self, *users: str, conversation: str = "general", height: int = 600) -> ChatPages:
        """The chat pages of several users side by side, each on the next instance."""
        count = len(self._cluster.instances)
        return ChatPages(
            self.page(user, instance=number % count, conversation=conversation, height=height)
            for number, user in enumerate(users)
        )

    # -- instances -------------------------------------------------------------------------------------------

    def url(self, instance: int = 0) -> str:
        """The HTTP address of an instance."""
        return self._cluster.url(instance)

    def ws_url(self, instance: int, conversation_id: str | None = None) -> str:
        """The WebSocket address of a conversation on an instance; without one, that of a device-wide connection."""
        path = "/ws" if conversation_id is None else f"/ws/{conversation_id}"
        return self.url(instance).replace("http", "ws", 1) + path

    async def kill(self, instance: int) -> None:
        """SIGKILL: the instance gets no chance to say goodbye."""
        self._note_fault("kill", instance)
        await self._cluster.instance(instance).kill()

    async def restart(self, instance: int) -> None:
        """Starts an instance again, on the same port; kills it first if it still runs."""
        process = self._cluster.instance(instance)
        if process.is_running:
            self._note_fault("kill", instance)
        await process.kill()
        await process.start()
        self._note_fault("restart", instance)

    async def drain(self, instance: int) -> int:
        """SIGTERM: the instance sends everybody away with 1012 and ends. Returns its exit code."""
        self._note_fault("drain", instance)
        return await self._cluster.instance(instance).drain(DRAIN_DEADLINE_S)

    async def state(self, instance: int) -> InstanceState:
        """What the managers of an instance hold at this moment."""
        return InstanceState(await self._cluster.instance(instance).ask("snapshot"))

    @property
    def redis(self) -> LabRedis:
        """The Redis between the instances: ``await lab.redis.pause()``, ``await lab.redis.cut(instance=1)`` …"""
        return LabRedis(
            self._cluster.redis,
            self._cluster.links,
            prefix=self.key_prefix,
            name_of=self._people.with_names,
            note_fault=self._recorder.fault,
            note_command=self._recorder.command,
        )

    def pid(self, instance: int) -> int | None:
        """The process id of an instance; None when it does not run."""
        return self._cluster.instance(instance).pid

    def log(self, instance: int, lines: int = 20) -> str:
        """The last lines of an instance's log."""
        return self._cluster.instance(instance).log_tail(lines)

    # -- looking ---------------------------------------------------------------------------------------------

    def trace(self, sent: Ack, *, expected: list[LabClient] | None = None) -> Trace:
        """Every hop of a message so far. Clients in ``expected`` that did not get it are drawn as missing."""
        self._require_traced()
        served = [one for one in self.clients if one.connected_at is not None and self._is_served(one)]
        hops = self._recorder.settled_hops_of(sent.id, sent.client_message_id, self._cluster.trace_files(), served)
        return Trace(hops, self.clients, expected or [])

    def live(self, *messages: Ack, expected: list[LabClient] | None = None) -> LiveView:
        """The system at work: shown in a notebook it draws itself, follows what happens, and can be stepped through.

        ``messages`` are those to show, all of them if none is named. ``expected`` are clients that should get
        each message, beside those that are on its conversation: what they do not get is drawn as missing.
        """
        self._require_traced()
        return self._live.open(messages, expected or [])

    def topology(self) -> Topology:
        """Who is connected to what at this moment, and how instances, links and connections are."""
        names = self._people.names()
        return topology_of(self._cluster, self.clients, lambda name: names.get(name or "", "all of them"))

    def __repr__(self) -> str:
        lines = [f"Lab with {len(self._cluster.instances)} instances, Redis: {self._cluster.redis.choice.kind}"]
        for number, process in enumerate(self._cluster.instances):
            state = f"running, pid {process.pid}" if process.is_running else f"ended with {process.returncode}"
            lines.append(f"  instance {number}  {self.url(number)}  {state}")
        return "\n".join(lines)

    # -- inside ----------------------------------------------------------------------------------------------

    def _is_served(self, client: LabClient) -> bool:
        return client.is_open and self.pid(client.instance) is not None

    def _require_traced(self) -> None:
        if not self._traced:
            raise UserError("this lab records nothing; start it without traced=False")

    def _note_fault(self, name: str, instance: int) -> None:
        self._cluster.instance(instance)  # raises for one that is not there
        self._recorder.fault(name, f"instance-{instance}")

    async def _forget_keys(self) -> None:
        """A Redis of our own is gone by now; in somebody else's, our keys must not stay."""
        if self.redis.choice.kind == "url":
            await self._cluster.redis.forget(self.key_prefix)


async def _tick() -> None:
    """Wakes the loop now and then: only a loop that wakes notices Jupyter's Stop button (ipykernel issue 881)."""
    while True:  # noqa: ASYNC110 - the sleep is the point
        await asyncio.sleep(TICK_S)
