"""Instances that die at a named point on the way of a message: once, when a message asks for it."""

import os
import signal
from typing import Any

from reference_impl.adapters.store_sql import SqlStore
from reference_impl.core.message_router import MessageRouter
from reference_impl.core.ports import Appended
from reference_impl.model.messages import MessageDraft, MessageInfo


def mortal_parts(folder: str) -> dict[str, Any]:
    """Overrides for the reference server. ``folder`` keeps who has died already: a retry must live."""

    class MortalStore(SqlStore):
        async def append(self, draft: MessageDraft) -> Appended:
            text = str(draft.content.get("text"))
            die_once(folder, text, "before_commit")
            appended = await super().append(draft)
            die_once(folder, text, "after_commit")
            return appended

    class MortalRouter(MessageRouter):
        async def publish_message(self, message: MessageInfo, frame: bytes, origin_connection_id: str | None) -> None:
            text = str(message.content.get("text"))
            die_once(folder, text, "before_announcing")
            await super().publish_message(message, frame, origin_connection_id)
            die_once(folder, text, "after_announcing")

    return {"store": MortalStore, "message_router": MortalRouter}


def last_words(point: str, number: int) -> str:
    """A text that kills the instance it reaches, at this point."""
    return f"die {point} {number}"


def die_once(folder: str, text: str, point: str) -> None:
    """SIGKILL to this process, if the text asks for it and nobody has died of it yet."""
    if not text.startswith(f"die {point} "):
        return
    try:
        os.close(os.open(os.path.join(folder, text), os.O_CREAT | os.O_EXCL))  # noqa: PTH118 - one call, atomic
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
