"""Finds peers that vanished without a close."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.heartbeat_policy import HeartbeatAction, HeartbeatPolicy

logger = logging.getLogger(__name__)

MakePing = Callable[[Connection], EncodedFrame]

ROUNDS = 4
"""Rounds in an interval: a connection is looked at so often, and a silent one is noticed so late at most."""

SLICES = 16
"""Parts of a round, of many. Ten thousand connections that came at once are not pinged at once: nothing else would
move. A few are one each.
"""


class HeartbeatManager:
    """Pings the connections of this instance and gives up the silent ones.

    It reads from no socket: the one reader of a connection reports signs of life. It is one timer for all
    connections, which goes round them slice by slice: a timer each would be ten thousand timers.
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
            everybody = tuple(self.connection_manager.index)
            slices = max(1, min(SLICES, len(everybody)))
            for number in range(slices):
                await asyncio.sleep(self.policy.interval_s / ROUNDS / slices)
                self._try_to_check(everybody[number::slices])

    def _try_to_check(self, connections: Iterable[Connection]) -> None:
        try:
            self.check(time.monotonic(), connections)
        except Exception:
            logger.exception("a round of the heartbeat failed, going on")

    def check(self, now: float, connections: Iterable[Connection] | None = None) -> None:
        """Pings and gives up what is due at ``now``, seconds on the monotonic clock: of these, or of all."""
        for connection in self.connection_manager.index if connections is None else connections:
            if connection.is_closing:
                continue
            action = self.policy.decide(now=now, last_heard=connection.last_heard, last_pinged=connection.last_pinged)
            if action is HeartbeatAction.PING:
                connection.last_pinged = now
                connection.send(self._make_ping(connection))
            elif action is HeartbeatAction.GIVE_UP:
                logger.info("connection %s: nothing heard for %g s", connection.connection_id, self.policy.timeout_s)
                connection.close(CloseCode.INTERNAL_ERROR, "heartbeat timeout", discard=True)
