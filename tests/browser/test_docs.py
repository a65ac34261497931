"""The documentation pages in a real browser."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from course import Lab
from course.run_tests import find_browser

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=1) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Page]:
    path = find_browser()
    assert path is not None, "CI needs a Chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield await browser.new_page()
        await browser.close()


async def test_the_docs_work_offline_and_under_a_strict_policy(lab: Lab, page: Page) -> None:
    """Every route is shown, nothing is fetched from elsewhere, and no script or style is refused."""
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    answer = await page.goto(f"{lab.url()}/docs")
    assert answer is not None
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    await page.wait_for_selector('[data-path="/api/v1/auth/ticket"]')
    assert all(url.startswith((lab.url(), "data:")) for url in asked), asked
    assert said == []
