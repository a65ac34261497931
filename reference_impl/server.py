"""The server process: uvicorn, with a drain before it stops."""

import asyncio
import gc
import signal
import socket
import ssl
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from reference_impl.chat_system import ChatSystem
from reference_impl.direct_websocket import DirectWebSocket
from reference_impl.guards import GuardedHttp, GuardedWebSocket, guarded_by
from reference_impl.logs import log_config
from reference_impl.settings import Settings

TICK_S = 1.0
"""How often uvicorn renews the ``Date`` that answers carry."""


class ChatServer(uvicorn.Server):
    """Serves one instance; SIGTERM and Ctrl-C stop it in order and with exit code 0."""

    def __init__(self, config: uvicorn.Config, chat: ChatSystem) -> None:
        super().__init__(config)
        self._chat = chat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_exit = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        """First signal: stop in order. A second Ctrl-C: at once. Other threads may call it, too.

        uvicorn would raise the signal again at the end and so report its own orderly stop as a death.
        """
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked_to_exit.set)  # in a signal handler, the loop may be asleep

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts everything. What is there by then stays: looking for garbage in it would halt the server for 0.1 s."""
        await super().startup(sockets)
        gc.freeze()

    async def main_loop(self) -> None:
        """Waits until it is to stop. uvicorn's own looks ten times a second whether it is: most of what an idle
        instance would wake for.
        """
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._asked_to_exit.wait()
        self._loop = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, drains, then stops everything else."""
        for listener in self.servers:
            listener.close()
        if not self.force_exit:
            await self._chat.drain()
        await super().shutdown(sockets)


def build_server(app: FastAPI, settings: Settings, host: str, port: int) -> ChatServer:
    """A server for ``app`` that is ready to ``serve()``. Port 0 takes a free one. Raises ``ValueError``."""
    settings.require_safe_host(host)
    chat: ChatSystem = app.state.chat
    bounds = chat.services.doors.sockets
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=guarded_by(bounds, GuardedHttp),
        ws=guarded_by(bounds, DirectWebSocket) if settings.direct_sockets else guarded_by(bounds, GuardedWebSocket),
        ws_max_size=settings.max_message_size,
        ws_per_message_deflate=False,  # costs memory per connection, and leaks by length what it compresses (CRIME)
        ws_ping_interval=None,  # our heartbeat carries the head of the conversation, too
        log_config=log_config(settings.log_format, settings.instance_id),
        access_log=False,  # api/requests.py writes a line for each request, with its id
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout_s)),
        server_header=False,
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
        proxy_headers=False,  # it would believe anybody on this machine; the app believes ``trusted_proxies``
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"CHAT_TLS_CERT_FILE, CHAT_TLS_KEY_FILE: they are no certificate and its key ({error})"
        ) from error
    return ChatServer(config, chat)
