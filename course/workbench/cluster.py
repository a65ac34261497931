"""N instances of the reference server, their Redis and their database, as processes of this machine."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from course.errors import UserError
from course.workbench import carry
from course.workbench.fault_proxy import FaultProxy
from course.workbench.forks import FORKS, can_fork
from course.workbench.guarded import GuardedFolder
from course.workbench.job import Job
from course.workbench.jupyter_proxy import for_browser
from course.workbench.process import InstanceProcess, child_environment
from course.workbench.redis_server import RedisServer

DRAIN_DEADLINE_S = 15.0
HOSTS_OF_PAGES = ("127.0.0.1", "localhost")
"""Where a page finds each instance under the address that we know. (Its policy has no way to write ``[::1]``.)"""


class Cluster:
    """Starts everything together and stops everything again.

    ``settings`` are the server's, by their names without ``CHAT_``. ``overrides`` are parts of the server to
    replace, by name; a class that was defined in a notebook cell travels to the processes by value. ``make_app``
    returns another server to run instead. With ``traced`` the instances record their hops; with ``breakable``
    each reaches Redis over a link of its own. With ``forked`` they start as copies of one process, if this system
    can do that: faster, and with less memory; without, as in production, each is a program of its own.
    """

    def __init__(
        self,
        instances: int,
        *,
        settings: dict[str, Any] | None = None,
        overrides: dict[str, Any] | None = None,
        make_app: Callable[[], Any] | None = None,
        redis_url: str | None = None,
        database_url: str | None = None,
        host: str = "127.0.0.1",
        first_port: int = 0,
        traced: bool = False,
        breakable: bool = False,
        forked: bool = True,
    ) -> None:
        if instances < 1:
            raise UserError("a lab needs at least one instance")
        self.host = host
        self.first_port = first_port
        self.redis = RedisServer(redis_url)
        self.folder = Path()
        self.instances: list[InstanceProcess] = []
        self.settings = {"SECRET_KEY": secrets.token_urlsafe(32), "DEMO_LOGIN": "1"}
        self.settings |= {name.upper().removeprefix("CHAT_"): str(value) for name, value in (settings or {}).items()}
        self.database_url = database_url
        self._count = instances
        self._overrides = overrides
        self._make_app = make_app
        self._traced = traced
        self._breakable = breakable
        self._forks = FORKS if forked and can_fork() else None
        self.links: dict[int, FaultProxy] = {}
        self._guarded: GuardedFolder | None = None

    async def start(self) -> Self:
        """Returns when all instances serve. Leaves nothing behind when one of them does not."""
        self._guarded = GuardedFolder("breakwire-lab-")
        self.folder = self._guarded.path
        if self._forks is not None:
            self._forks.join(child_environment({}))  # it gets ready while Redis starts
        try:
            self.database_url = absolute_database_url(self.database_url or f"sqlite:///{self.folder / 'chat.db'}")
            await self.redis.start()
            await self._start_links()
            cargo = self._pack()
            self.instances = [self._instance(number, cargo) for number in range(self._count)]
            async with asyncio.TaskGroup() as starting:
                for instance in self.instances:
                    starting.create_task(instance.start())
            await self._introduce()
        except BaseException as error:
            await self.stop()
            if isinstance(error, ExceptionGroup):
                raise error.exceptions[0] from None
            raise
        return self

    async def stop(self) -> None:
        """Ends all processes and removes the folder. Idempotent."""
        await asyncio.gather(*(instance.stop() for instance in self.instances))
        await asyncio.gather(*(link.stop() for link in self.links.values()))
        await self.redis.stop()
        guarded, self._guarded = self._guarded, None
        if guarded is not None:
            await asyncio.to_thread(guarded.remove)
            if self._forks is not None:
                await asyncio.to_thread(self._forks.leave)

    async def drain(self) -> None:
        """Ends all instances in order, as SIGTERM does."""
        await asyncio.gather(*(instance.drain(DRAIN_DEADLINE_S) for instance in self.instances))

    def url(self, number: int) -> str:
        """The HTTP address of an instance."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.instance(number).port}"

    def instance(self, number: int) -> InstanceProcess:
        """An instance by its number, from 0. Raises ``UserError``."""
        if not 0 <= number < len(self.instances):
            raise UserError(f"there is no instance {number}; this lab has 0 to {len(self.instances) - 1}")
        return self.instances[number]

    def trace_files(self) -> list[Path]:
        """What the instances' hop recorders have written."""
        return sorted(self.folder.glob("hops-*.jsonl"))

    async def _introduce(self) -> None:
        """Tells each instance where the others are: a page that one has served goes on with another."""
        if self._make_app is None and self.host in HOSTS_OF_PAGES:
            urls = [for_browser(self.url(number)) for number in range(self._count)]
            for instance, own in zip(self.instances, urls, strict=True):
                await instance.meet([url for url in urls if url != own])

    async def _start_links(self) -> None:
        if self._breakable and self.redis.url.startswith("redis://"):
            for number in range(self._count):
                self.links[number] = await FaultProxy(self.redis.url).start()

    def _instance(self, number: int, cargo: dict[str, Any]) -> InstanceProcess:
        name = f"instance {number}"
        settings = {
            "REDIS_URL": self.links[number].url if number in self.links else self.redis.url,
            "DATABASE_URL": str(self.database_url),
            "INSTANCE_ID": f"instance-{number}",
            "TRACE_FILE": str(self.folder / f"hops-{number}.jsonl") if self._traced else "",
        } | self.settings
        environment = child_environment({f"CHAT_{key}": value for key, value in settings.items()})
        port = self.first_port + number if self.first_port else 0
        job = Job(host=self.host, port=port, **cargo)
        return InstanceProcess(name, job, environment, self.folder / f"instance-{number}.log", self._forks)

    def _pack(self) -> dict[str, Any]:
        """What travels to the instances, as files: the job's fields that name them."""
        if self._make_app is not None:
            return {"app_file": carry.write(self._make_app, self.folder / "app.pickle")}
        if self._overrides:
            return {"overrides_file": carry.write(self._overrides, self.folder / "overrides.pickle")}
        return {}


def absolute_database_url(url: str) -> str:
    """A relative SQLite path means the folder of whoever starts the lab; its processes have one of their own."""
    scheme, separator, path = url.partition(":///")
    if not separator or not scheme.startswith("sqlite") or path in ("", ":memory:"):
        return url
    return f"{scheme}:///{Path(path).absolute()}"
