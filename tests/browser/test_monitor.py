"""The monitor page in a real browser, with two real instances, and what becomes of it when one is killed."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from course import Lab
from course.run_tests import find_browser
from course.workbench.serve import token

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
DEADLINE_MS = 30_000
MONITOR = {"MONITOR_INTERVAL_S": 0.5}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = find_browser()
    assert path is not None, "CI needs a Chromium"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(instances=2, settings=MONITOR) as started:
        yield started


@asynccontextmanager
async def monitor(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """The page, open. Afterwards nothing may have broken in it, and nothing may have been refused by its policy."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(DEADLINE_MS)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda line: broken.append(line.text) if is_broken(line.type, line.text) else None)
    await page.goto(url + "/monitor")
    yield page
    if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
        name = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].split(" ")[0]
        await page.screenshot(path=Path(shots, f"monitor.{name}.png"), full_page=True)
    assert not broken
    await context.close()


def is_broken(kind: str, text: str) -> bool:
    """A server that is away is part of the plan, and the browser notes each try."""
    return kind in ("error", "warning") and "net::ERR_" not in text


async def until_text(page: Page, selector: str, pattern: str) -> None:
    """Waits until what is there says this."""
    await expect(page.locator(selector)).to_have_text(re.compile(pattern), timeout=DEADLINE_MS)


async def test_all_instances_at_a_glance(lab: Lab, browser: Browser) -> None:
    """Whichever instance serves the page: it shows both, with their users, what goes through, and their parts."""
    alice, bob = [await lab.client(user, instance=place) for place, user in enumerate(("alice", "bob"))]
    async with monitor(browser, lab.url(1)) as page:
        await until_text(page, "#link-text", "Live, from instance-1")
        await expect(page.get_by_role("heading", level=3)).to_have_text(["instance-0", "instance-1"])
        for number in range(20):
            await alice.send(f"hello {number}")
        await until_text(page, ".tile:has(dt:text-is('Instances up')) .value", r"^2 of 2$")
        await until_text(page, ".tile:has(dt:text-is('Connections')) .value >> nth=0", r"^2$")
        await until_text(page, ".tile:has(dt:text-is('Frames out, per second')) .value", r"^(?!0$)")
        for card in range(2):
            await expect(page.locator(".card").nth(card).locator(".part")).to_have_text(
                [re.compile(f"{part}ok") for part in ("store", "broker", "push", "ai")]
            )
        curve = page.get_by_role("img", name=re.compile(r"Frames out, per second, the last \d+ seconds: between"))
        await expect(curve.locator(".line")).to_have_attribute("d", re.compile("^M"))
    for client in (alice, bob):
        await client.close()


async def test_an_instance_is_killed_under_the_open_page(lab: Lab, browser: Browser) -> None:
    """It is shown as gone, said to a screen reader and in the title; when it is back, the page follows."""
    async with monitor(browser, lab.url(0)) as page:
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^ready$")
        await lab.kill(1)
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^gone$")
        await until_text(page, ".tile:has(dt:text-is('Instances up')) .value", "^1 of 2$")
        await until_text(page, "#announcer", r"instance-1 is gone\.|Alert: an instance was not heard of")
        await expect(page.locator(".alert", has_text="an instance was not heard of")).to_be_visible(timeout=DEADLINE_MS)
        await expect(page).to_have_title(re.compile(r"^1 of 2 up, \d alerts?,"))
        await lab.restart(1)
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^ready$")
        await until_text(page, ".tile:has(dt:text-is('Instances up')) .value", "^2 of 2$")


async def test_the_page_s_own_instance_is_killed(lab: Lab, browser: Browser) -> None:
    """The page goes on with the other one, and shows its own as gone; when that is back, it answers again."""
    async with monitor(browser, lab.url(0)) as page:
        await until_text(page, "#link-text", "Live, from instance-0")
        await lab.kill(0)
        try:
            await until_text(page, "#link-text", "Live, from instance-1")
            await until_text(page, ".card:has(h3:text-is('instance-0')) .status-word", "^gone$")
        finally:  # the tests behind want both
            await lab.restart(0)
        await until_text(page, "#link-text", "Live, from instance-0")
        await until_text(page, ".card:has(h3:text-is('instance-0')) .status-word", "^ready$")


async def test_redis_is_away(lab: Lab, browser: Browser) -> None:
    """The broker is away, an alert fires, and of the other instance nothing can be said; then all of it is over."""
    async with monitor(browser, lab.url(0), color_scheme="dark") as page:
        await until_text(page, ".card:has(h3:text-is('instance-0')) .status-word", "^ready$")
        await lab.redis.pause()
        alert = page.locator(".alert", has_text="broker: away, or failing")
        await expect(alert).to_be_visible(timeout=DEADLINE_MS)
        await until_text(page, ".card:has(h3:text-is('instance-0')) .status-word", "^degraded$")
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^unknown$")
        await until_text(page, "#link-text", "the others are out of sight")
        await lab.redis.resume()
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^ready$")
        await expect(alert).to_have_count(0, timeout=DEADLINE_MS)


async def test_nobody_answers_on_a_phone(lab: Lab, browser: Browser) -> None:
    """All instances are gone: the page says how old its figures are. It fits a phone; a stop in order is no death."""
    async with monitor(browser, lab.url(0), viewport={"width": 360, "height": 740}) as page:
        await until_text(page, "#link-text", "Live, from instance-0")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await lab.drain(1)
        await until_text(page, ".card:has(h3:text-is('instance-1')) .status-word", "^stopped$")
        await until_text(page, ".tile:has(dt:text-is('Instances up')) .value", "^1 of 1$")
        await lab.kill(0)
        await until_text(page, "#link-text", r"^No instance answers; this is \d+ s old\. Asking again …$")
        await until_text(page, ".card:has(h3:text-is('instance-0')) .status-word", "^unknown$")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_outside_demo_mode_for_operators(browser: Browser) -> None:
    """A browser that gives an operator's token as the password sees everything; without one it sees nothing."""
    secret = "a secret of this test's own, thirty-two bytes and more"
    settings = {"DEMO_LOGIN": 0, "SECRET_KEY": secret}
    async with Lab(instances=1, settings=settings) as lab:
        anonymous = await browser.new_context()
        answer = await anonymous.request.get(lab.url(0) + "/monitor")
        assert answer.status == 401
        assert (await anonymous.request.get(lab.url(0) + "/api/v1/monitor")).status == 401
        await anonymous.close()
        operator = operator_token(secret)
        credentials = {"username": "me", "password": operator}
        async with monitor(browser, lab.url(0), http_credentials=credentials) as page:
            await until_text(page, "#link-text", "Live, from instance-0")


def operator_token(secret: str) -> str:
    """A token that the lab's instance takes for an operator's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CHAT_SECRET_KEY", secret)
        return token("me", None, 600, operator=True)
