"""Redis as it is: which commands the instances send, and what is in it at a moment."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import redis.asyncio
from redis.exceptions import RedisError

from course.workbench.client import Ack
from course.workbench.fault_proxy import FaultProxy
from course.workbench.views.redis_state import Command, Commands, KeyAt, RedisState

MOST_COMMANDS = 20_000
MOST_KEYS = 200
MOST_ELEMENTS = 5
CATCH_UP_S = 5.0

NoteCommand = Callable[[int, str, str, list[str]], None]
"""Takes when (nanoseconds, monotonic), the instance, the command, and the ids in it."""

_ids_in = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").findall


class RedisMonitor:
    """``async with lab.redis.monitor() as seen:`` notes each command that an instance sends meanwhile.

    It uses MONITOR, which costs Redis about half of its speed: for looking, not for measuring time. Commands of
    a script come with ``(script)``. Of very many the first are kept, and ``dropped`` counts the others.
    """

    def __init__(
        self,
        url: str,
        links: Mapping[int, FaultProxy],
        *,
        prefix: str,
        name_of: Callable[[str], str],
        note: NoteCommand,
    ) -> None:
        self.commands = Commands()
        """All of them, in order of time."""
        self.dropped = 0
        self._client = redis.asyncio.Redis.from_url(url, socket_timeout=None)
        self._links = links
        self._prefix = prefix
        self._name_of = name_of
        self._note = note
        self._instances: dict[str, str] = {}  # port -> instance
        self._last = ""
        self._start: float | None = None
        self._marker = secrets.token_hex(8)
        self._caught_up = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Command → how often."""
        return self.commands.counts

    def of(self, sent: Ack) -> Commands:
        """The commands that carry a message, by its id."""
        return Commands(one for one in self.commands if sent.id in one.ids)

    def named(self, *names: str) -> Commands:
        """Only these commands: ``seen.named("PUBLISH")``."""
        return Commands(one for one in self.commands if one.name in names)

    async def __aenter__(self) -> Self:
        ready = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(ready), name="redis monitor")
        await ready
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError, RedisError):  # a Redis that hangs does not say the last word
            async with asyncio.timeout(CATCH_UP_S):
                await self._client.echo(self._marker)  # what came before it has been seen when it is
                await self._caught_up.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._client.aclose()

    def __repr__(self) -> str:
        return repr(self.commands)

    def _repr_html_(self) -> str:
        return self.commands._repr_html_()

    async def _read(self, ready: "asyncio.Future[None]") -> None:
        try:
            async with self._client.monitor() as monitor:
                ready.set_result(None)
                offset_s = time.monotonic() - time.time()  # Redis tells the time of day, hops do not
                async for seen in monitor.listen():
                    self._take(seen, offset_s)
        except (RedisError, OSError) as error:
            if not ready.done():
                ready.set_exception(error)
        finally:
            self._caught_up.set()

    def _take(self, seen: Mapping[str, Any], offset_s: float) -> None:
        name, _, arguments = str(seen["command"]).partition(" ")
        if arguments == self._marker:
            self._caught_up.set()
            return
        instance = self._sender_of(seen)
        if instance is None:
            return
        if len(self.commands) >= MOST_COMMANDS:
            self.dropped += 1
            return
        name = name.upper() + " (script)" * (seen["client_type"] == "lua")
        self._start = seen["time"] if self._start is None else self._start
        ids = _ids_in(arguments)
        shown = self._readable(name, arguments)
        self.commands.append(Command((seen["time"] - self._start) * 1000, instance, name, shown, ids))
        self._note(int((seen["time"] + offset_s) * 1e9), instance, f"{name} {shown.split(' ')[0]}".rstrip(), ids)

    def _readable(self, name: str, arguments: str) -> str:
        """Without a script's text, a signature's bytes and the lab's prefix; conversations by their names."""
        if name in ("EVAL", "EVALSHA") and self._prefix in arguments:
            arguments = arguments[arguments.index(self._prefix) :]
        if name in ("PUBLISH", "SPUBLISH"):
            channel, _, message = arguments.partition(" ")
            arguments = f"{channel} {message[max(message.find('{'), 0) :]}"
        return self._name_of(arguments.replace(self._prefix, ""))

    def _sender_of(self, seen: Mapping[str, Any]) -> str | None:
        """The instance, by the port of its link. A script's commands are its caller's, the one before."""
        if seen["client_type"] == "lua":
            return self._last or None
        for number, link in self._links.items():
            for port in tuple(link.ports):  # another thread changes them
                self._instances[str(port)] = f"instance-{number}"
        found = self._instances.get(seen["client_port"])
        self._last = found or ""
        return found


async def state_of(url: str, prefix: str, name_of: Callable[[str], str]) -> RedisState:
    """The keys and channels that begin with ``prefix``, readable: ``name_of`` puts names for ids."""
    client = redis.asyncio.Redis.from_url(url, socket_timeout=5, decode_responses=True)
    try:
        names = sorted([name async for name in client.scan_iter(match=prefix + "*", count=1000)])
        keys = [await _key_at(client, name, prefix, name_of) for name in names[:MOST_KEYS]]
        channels = {}
        for kind in (client.pubsub_channels, client.pubsub_shardchannels):
            found = await kind(prefix + "*")
            count = client.pubsub_numsub if kind == client.pubsub_channels else client.pubsub_shardnumsub
            for channel, listeners in _pairs(await count(*found)) if found else ():
                channels[name_of(channel.removeprefix(prefix))] = listeners
        return RedisState(keys, dict(sorted(channels.items())), len(names) - len(keys))
    finally:
        await client.aclose()


async def _key_at(client: Any, name: str, prefix: str, name_of: Callable[[str], str]) -> KeyAt:
    kind, ttl_ms = await client.type(name), await client.pttl(name)
    value = name_of((await _value_of(client, kind, name)).replace(prefix, ""))
    return KeyAt(name_of(name.removeprefix(prefix)), kind, ttl_ms / 1000 if ttl_ms >= 0 else None, value)


async def _value_of(client: Any, kind: str, name: str) -> str:
    """The first elements, and how many there are."""
    last = MOST_ELEMENTS - 1
    match kind:
        case "string":
            return str(await client.get(name))
        case "list":
            return _few(await client.lrange(name, 0, last), await client.llen(name))
        case "set":
            return _few(sorted(await client.smembers(name)), await client.scard(name))
        case "zset":
            return _few(await client.zrange(name, 0, last), await client.zcard(name))
        case "hash":
            entries = await client.hgetall(name)
            return _few([f"{field}={value}" for field, value in entries.items()], len(entries))
        case "stream":
            return f"{await client.xlen(name)} entries"
    return ""


def _few(elements: list[Any], count: int) -> str:
    shown = ", ".join(str(one) for one in elements[:MOST_ELEMENTS])
    return f"{count}: {shown}" + (", …" if count > MOST_ELEMENTS else "")


def _pairs(answer: Any) -> list[tuple[str, int]]:
    """What PUBSUB NUMSUB says; one kind of channels comes in pairs, the other as one list."""
    if answer and not isinstance(answer[0], (list, tuple)):
        answer = list(zip(answer[::2], answer[1::2], strict=True))
    return [(str(channel), int(count)) for channel, count in answer]
