"""Push for the lab and the laptop: nobody's phone rings, and what would have been pushed can be looked at."""

import logging
from collections import deque
from typing import NamedTuple

from reference_impl.core.queue_ports import PushProvider
from reference_impl.model.health import Health
from reference_impl.model.notification_content import NotificationData

logger = logging.getLogger(__name__)


class Pushed(NamedTuple):
    """One push that was made."""

    user_id: str
    notification: NotificationData
    idempotency_key: str


class ConsolePushProvider(PushProvider):
    """Logs a line for each push, without its text, and keeps the last ``keep`` in memory.

    A key that is among those is not pushed again, as a real provider would do it.
    """

    def __init__(self, keep: int = 1000) -> None:
        self.pushed: deque[Pushed] = deque()
        self._keep = keep
        self._keys: set[str] = set()  # of what is in `pushed`
        self.count = 0
        """All pushes since the start, also those that are not kept any more."""
        self.repeated = 0
        """Pushes that were recognised by their key, since the start."""

    async def send(self, user_id: str, notification: NotificationData, *, idempotency_key: str) -> None:
        """Succeeds."""
        if idempotency_key in self._keys:
            self.repeated += 1
            return
        self.count += 1
        self._keys.add(idempotency_key)
        self.pushed.append(Pushed(user_id, notification, idempotency_key))
        if len(self.pushed) > self._keep:
            self._keys.discard(self.pushed.popleft().idempotency_key)
        logger.info("push to %s about conversation %s (%s)", user_id, notification["conversation_id"], idempotency_key)

    def health(self) -> Health:
        """Always well."""
        return Health("push")

    async def stop(self) -> None:
        """Nothing to close."""
