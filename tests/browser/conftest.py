"""Two instances, a browser, and windows of the chat page, for the tests of a module."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from course import Lab
from course.run_tests import find_browser
from tests.browser.chat_window import ARGUMENTS, DEADLINE_MS, Open, Window


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=2, settings={"HEARTBEAT_INTERVAL_S": 1, "HEARTBEAT_TIMEOUT_S": 10}) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = find_browser()
    assert path is not None, "CI needs a Chromium"
    expect.set_options(timeout=DEADLINE_MS)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="module")
async def window(lab: Lab, browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens the page for a user, in a conversation. At the end nothing may have been complained about."""
    opened: list[tuple[str, Window]] = []
    async with AsyncExitStack() as contexts:

        async def open_window(
            user: str, conversation: str | None = None, *, instance: int = 0, **options: Any
        ) -> Window:
            size = {"viewport": {"width": 1280, "height": 800}}
            context: BrowserContext = await browser.new_context(**(size | options))
            contexts.push_async_callback(context.close)
            context.set_default_timeout(DEADLINE_MS)
            window = Window(await context.new_page())
            opened.append((user, window))
            if conversation:
                await lab.conversation(conversation, user)
            await window.page.goto(lab.page(user, instance=instance, conversation=conversation).url)
            await window.live()
            return window

        yield open_window
        if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
            for user, window in opened:
                if not window.page.is_closed():
                    await window.page.screenshot(path=Path(shots, f"{request.node.name}.{user}.png"))
    assert [(user, window.complaints) for user, window in opened if window.complaints] == []
