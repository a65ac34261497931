"""The server's own loop: how often it wakes, and how soon it stops. Time is virtual."""

import asyncio
import signal
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from reference_impl.server import TICK_S, ChatServer
from tests.property.virtual_time import VirtualTime


class CountingServer(ChatServer):
    """Counts its ticks."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        return await super().on_tick(counter)


def test_it_wakes_rarely_and_stops_when_it_is_told() -> None:
    """Not at the next tick: whoever drains an instance waits for it."""

    async def serve() -> None:
        config = uvicorn.Config(FastAPI(openapi_url=None), log_config=None)
        config.load()
        server = CountingServer(config, cast(Any, None))
        running = asyncio.create_task(server.main_loop())
        await asyncio.sleep(9.3 * TICK_S)
        assert server.ticks == 10
        assert server.server_state.default_headers[0][0] == b"date"
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        server.handle_exit(signal.SIGTERM, None)
        await running
        assert loop.time() == told_at
        server.handle_exit(signal.SIGTERM, None)  # once more, when nobody waits for it

    with VirtualTime() as time:
        time.run(serve())
