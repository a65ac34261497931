"""The chat page inside a notebook."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from html import escape
from typing import Any, NamedTuple

import httpx2

from course.workbench.jupyter_proxy import for_browser

logger = logging.getLogger(__name__)


class ChatPage(NamedTuple):
    """Shows itself in a notebook cell, as a frame; as text it is the address."""

    url: str
    title: str
    height: int
    """In pixels."""

    def __repr__(self) -> str:
        return f"{self.title}: {self.url}"

    def _repr_html_(self) -> str:
        url, title = escape(self.url), escape(self.title)
        return (
            f'<iframe src="{url}" title="{title}" width="100%" height="{self.height}" '
            'style="border:1px solid #8c959f;border-radius:8px" loading="lazy"></iframe>'
            f'<p><a href="{url}" target="_blank" rel="noopener">Open {title} in a window of its own</a></p>'
        )


class ChatPages(tuple[ChatPage, ...]):
    """Several, side by side."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))

    def _repr_html_(self) -> str:
        frames = "".join(f'<div style="flex:1;min-width:320px">{page._repr_html_()}</div>' for page in self)
        return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{frames}</div>'


class LabPages:
    """Makes the pages of a lab, and brings their users into the conversations they show."""

    def __init__(self, url_of: Callable[[int], str], invite: Callable[[str, str], Coroutine[Any, Any, str]]) -> None:
        """``url_of(instance)``; ``invite(conversation, user)`` returns the conversation's id."""
        self._url_of = url_of
        self._invite = invite
        self._invitations: set[asyncio.Task[str]] = set()

    def page(
        self, user: str, instance: int, conversation: str | None, height: int, *, through_jupyter: bool | None
    ) -> ChatPage:
        """The chat page of an instance. The user is brought in meanwhile: nobody waits for it."""
        query = {"user": user} | ({"conversation": conversation} if conversation else {})
        own = str(httpx2.URL(self._url_of(instance), path="/", params=query))
        if conversation:
            invitation = asyncio.get_running_loop().create_task(self._invite(conversation, user))
            self._invitations.add(invitation)
            invitation.add_done_callback(self._invited)
        return ChatPage(for_browser(own, through_jupyter=through_jupyter), f"Chat as {user}", height)

    def stop(self) -> None:
        """Brings nobody in any more."""
        for invitation in self._invitations:
            invitation.cancel()

    def _invited(self, invitation: asyncio.Task[str]) -> None:
        self._invitations.discard(invitation)
        if not invitation.cancelled() and (error := invitation.exception()):
            logger.warning("the user of a page is in no conversation: %s", error)
