"""A window of the chat page: what a test does in it, and what the browser complained about."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import ConsoleMessage, Page, expect

DEADLINE_MS = 20_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
ELSEWHERE = "notebook.example"
ARGUMENTS.append(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1")
UNREACHABLE = re.compile("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED")
"""What the browser itself writes down when an instance is not there; a page can not keep it from that."""


class Window:
    """The page of one user in a browser of their own, and what the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not UNREACHABLE.search(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    async def live(self, instance: int | None = None) -> None:
        """Waits until the page says that it is connected (to this instance)."""
        text = "Live on" if instance is None else f"Live on instance-{instance}"
        await expect(self.page.locator("#connection")).to_contain_text(text)

    async def say(self, text: str) -> None:
        """Types a message and presses Enter."""
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_label("Message", exact=True).press("Enter")

    async def texts(self) -> list[str]:
        """The messages in the thread, in order, pending ones too."""
        return await self.page.locator("#messages .message .text").all_inner_texts()

    async def until_texts(self, wanted: list[str]) -> None:
        """Waits until exactly these messages are in the thread."""
        await expect(self.page.locator("#messages .message .text")).to_have_text(wanted)

    def last(self) -> Any:
        """The last message in the thread."""
        return self.page.locator("#messages .message").last


Open = Callable[..., Awaitable[Window]]
"""Opens a window: see the fixture ``window``."""
