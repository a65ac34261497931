"""Finds peers that vanished without a close."""

import asyncio
import logging
import time
from collections.abc import Callable

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.heartbeat_policy import HeartbeatAction, HeartbeatPolicy

logger = logging.getLogger(__name__)

MakePing = Callable[[Connection], EncodedFrame]


class HeartbeatManager:
    """Pings the connections of this instance and gives up the silent ones.

    It reads from no socket: the one reader of a connection reports signs of life. It is one task for all
    connections: a timer each would be ten thousand timers.
    """

    def __init__(self, connection_manager: ConnectionManager, policy: HeartbeatPolicy, *, make_ping: MakePing) -> None:
        self.connection_manager = connection_manager
        self.policy = policy
        self._make_ping = make_ping
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to beat."""
        self._task = asyncio.create_task(self._beat(), name="heartbeat")

    async def stop(self) -> None:
        """Ends. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.policy.interval_s / 4)
            self.check(time.monotonic())

    def check(self, now: float) -> None:
        """Pings and gives up what is due at ``now``, seconds on the monotonic clock."""
        for connection in self.connection_manager.index:
            action = self.policy.decide(now=now, last_heard=connection.last_heard, last_pinged=connection.last_pinged)
            if action is HeartbeatAction.PING:
                connection.last_pinged = now
                connection.send(self._make_ping(connection))
            elif action is HeartbeatAction.GIVE_UP and not connection.is_closing:
                logger.info("connection %s: nothing heard for %g s", connection.connection_id, self.policy.timeout_s)
                connection.close(CloseCode.INTERNAL_ERROR, "heartbeat timeout", discard=True)
