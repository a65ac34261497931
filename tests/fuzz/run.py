"""One run of the fuzzer: nonsense at both doors of two instances, while two neighbours talk undisturbed."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from course import Lab
from tests.fuzz.nasty import Nasty

QUIET_S = 30.0
"""How long the server may take to be as it was before."""

GONE = (OSError, WebSocketException, EOFError)


class FuzzRun:
    """``failures`` is empty when all is well; ``done`` counts what was tried, and what came of it."""

    def __init__(self, lab: Lab, seed: int, seconds: float) -> None:
        self.failures: list[str] = []
        self.done: Counter[str] = Counter()
        self._lab = lab
        self._seed = seed
        self._end = time.monotonic() + seconds
        self._ids: list[str] = []
        self._paths: dict[str, Any] = {}
        self._token = ""

    async def run(self) -> None:
        """Everything at once until the time is over; then waits for the server to be quiet, and looks."""
        self._ids = [
            await self._lab.conversation("general", "ann", "bob"),
            await self._lab.conversation("apart", "cleo"),
        ]
        self._token = await self._lab.token("ann")
        async with httpx2.AsyncClient(trust_env=False) as http:
            self._paths = (await http.get(self._lab.url(0) + "/openapi.json")).json()["paths"]
        self._paths.pop("/api/v1/auth/logout")  # it would end the run's own token
        before = [await self._state(number) for number in (0, 1)]
        workers = [
            self._frames,
            self._frames,
            self._handshakes,
            self._wire,
            self._requests,
            self._requests,
            self._bytes,
        ]
        neighbours = asyncio.create_task(self._neighbours())
        await asyncio.gather(*(self._repeat(worker, number) for number, worker in enumerate(workers)))
        await neighbours
        for number in (0, 1):
            await self._until_quiet(number, before[number])
            self._read_log(number)

    async def _repeat(self, worker: Callable[[Nasty], Coroutine[Any, Any, None]], number: int) -> None:
        nasty = Nasty(self._seed * 1000 + number, self._ids)
        while time.monotonic() < self._end:
            try:
                async with asyncio.timeout(60):
                    await worker(nasty)
            except GONE:
                self.done[f"{worker.__name__} ended"] += 1
            self.done[worker.__name__] += 1

    async def _frames(self, nasty: Nasty) -> None:
        """A good socket, and bad frames until it ends or enough is said."""
        place = nasty.random.choice([*self._ids[:1], None])
        async with self._opened(nasty, place) as socket:
            reading = asyncio.create_task(_read_all(socket))
            try:
                for _ in range(nasty.random.randrange(1, 30)):
                    await socket.send(nasty.frame())
            finally:
                if nasty.random.random() < 0.2:
                    socket.transport.abort()
                reading.cancel()
                await asyncio.wait([reading])

    async def _handshakes(self, nasty: Nasty) -> None:
        """Sockets with odd queries and protocols, signed in or not."""
        url = self._lab.ws_url(nasty.random.randrange(2), nasty.random.choice(self._ids)) + "?" + nasty.query()
        protocols = nasty.random.sample(["chat.v1", f"bearer.{self._token}", "bearer.", "x"], nasty.random.randrange(4))
        wanted = [Subprotocol(name) for name in protocols] or None
        async with connect(url, subprotocols=wanted, proxy=None, open_timeout=20, close_timeout=1) as socket:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await socket.recv()
            await socket.send(nasty.frame())

    async def _wire(self, nasty: Nasty) -> None:
        """Bytes where frames should be."""
        async with self._opened(nasty, self._ids[0]) as socket:
            socket.transport.write(nasty.wire())
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await _read_all(socket)
            socket.transport.abort()

    async def _requests(self, nasty: Nasty) -> None:
        """Requests after the server's own description, with nonsense in them."""
        headers = {"Authorization": f"Bearer {self._token}"} if nasty.random.random() < 0.8 else {}
        base = self._lab.url(nasty.random.randrange(2))
        async with httpx2.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=30) as http:
            for _ in range(10):
                method, path, extra, body = nasty.request(self._paths)
                try:
                    answer = await http.request(method, path, headers=extra, content=body)
                except httpx2.HTTPError:
                    self.done["no answer"] += 1
                    continue
                self.done[str(answer.status_code)] += 1
                if answer.status_code >= 500 or "Traceback" in answer.text:
                    self.failures.append(f"{answer.status_code} to {method} {path} {extra} {body[:300]!r}")

    async def _bytes(self, nasty: Nasty) -> None:
        """What is no HTTP at all, or only its beginning."""
        where = urlsplit(self._lab.url(nasty.random.randrange(2)))
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            method, path, headers, body = nasty.request(self._paths)
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            whole = "\r\n".join(lines).encode() + body[:1000]
            at = nasty.random.randrange(len(whole))
            writer.write(nasty.random.choice([whole[:at] + nasty.random.randbytes(5) + whole[at + 5 :], whole[:at]]))
            writer.write(nasty.random.randbytes(nasty.random.randrange(200)))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read()
        finally:
            writer.close()

    async def _neighbours(self) -> None:
        """They talk from one instance to the other the whole time; each message arrives."""
        conversation = "quiet street"
        dora = await self._lab.client("dora", instance=0, conversation=conversation)
        emil = await self._lab.client("emil", instance=1, conversation=conversation)
        try:
            number = 0
            while time.monotonic() < self._end:
                await dora.send(f"{number}", timeout=20)
                await emil.expect("new_message", text=f"{number}", timeout=20)
                number += 1
                await asyncio.sleep(0.02)
        except AssertionError as error:
            self.failures.append(f"a neighbour was not served: {error}")
        self.done["messages of neighbours"] = number
        await dora.close()
        await emil.close()

    def _opened(self, nasty: Nasty, conversation: str | None) -> connect:
        protocols = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{self._token}")]
        url = self._lab.ws_url(nasty.random.randrange(2), conversation)
        return connect(url, subprotocols=protocols, proxy=None, max_size=2**24, open_timeout=20, close_timeout=1)

    async def _state(self, number: int) -> dict[str, int]:
        """What has to be as it was before, once all have gone."""
        state = await self._lab.state(number)
        async with httpx2.AsyncClient(trust_env=False) as http:
            lines = (await http.get(self._lab.url(number) + "/metrics")).text.splitlines()
        metrics = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        process, port = psutil.Process(self._lab.pid(number)), urlsplit(self._lab.url(number)).port
        return {
            "connections": int(float(metrics["chat_connections"])),
            "waiting sockets": int(float(metrics["chat_sockets_waiting"])),
            "leases": len(state["leases"]),
            "feeds": len(state["conversations"]),
            "counted sockets": int(float(metrics["chat_sockets"])),
            "tasks": int(float(metrics["chat_tasks"])),
            "sockets": sum(one.laddr.port == port and one.status != "LISTEN" for one in process.net_connections("tcp")),
        }

    async def _until_quiet(self, number: int, before: dict[str, int]) -> None:
        now: dict[str, int] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                while any(count > before[name] for name, count in now.items()) or not now:
                    await asyncio.sleep(0.2)
                    now = await self._state(number)
                return
        self.failures.append(f"instance {number} had {before} and is left with {now}")

    def _read_log(self, number: int) -> None:
        lines = self._lab.log(number, sys.maxsize).splitlines()
        for place, line in enumerate(lines):
            is_alert = "(alert_" in line  # so much is refused here that the monitor has to say so
            if "Traceback" in line or (" ERROR " in line and not is_alert):
                self.failures.append(f"instance {number} logged: " + "\n".join(lines[max(0, place - 2) : place + 60]))
                return


async def _read_all(socket: ClientConnection) -> None:
    with suppress(*GONE):
        while True:
            await socket.recv()


async def fuzz(seed: int, seconds: float) -> FuzzRun:
    """A lab of its own, and a run in it."""
    async with Lab(instances=2) as lab:
        run = FuzzRun(lab, seed, seconds)
        await run.run()
    return run
