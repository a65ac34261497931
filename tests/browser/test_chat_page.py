"""The chat page as people use it: a real browser, two instances, one of which dies."""

import asyncio
import os
import re

import pytest
from playwright.async_api import Browser, expect

from course import Lab
from course.run_tests import find_browser
from tests.browser.chat_window import DEADLINE_MS, ELSEWHERE, Open

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


async def test_two_people_on_two_instances(window: Open) -> None:
    """What one says the other sees at once, in order; that they type, are there, have it, and have read it."""
    alice = await window("alice", "two", instance=0)
    bob = await window("bob", "two", instance=1)
    await bob.live(1)
    await expect(alice.page.locator("#people li", has_text="bob")).to_contain_text("online")

    await bob.page.get_by_label("Message", exact=True).press_sequentially("hel")
    await expect(alice.page.locator("#typing")).to_have_text("bob is typing")
    await bob.say("hello alice")
    await alice.until_texts(["hello alice"])
    await expect(alice.page.locator("#typing")).to_be_empty()

    await alice.page.bring_to_front()
    await expect(bob.last()).to_contain_text("Read by alice")
    await expect(bob.last().locator(".ticks")).to_have_attribute("title", "Read")
    for number in range(5):
        await alice.say(f"number {number}")
    await bob.until_texts(["hello alice", *(f"number {number}" for number in range(5))])
    assert await alice.texts() == await bob.texts()

    await bob.page.context.close()
    await expect(alice.page.locator("#people li", has_text="bob")).to_contain_text("offline")


async def test_one_person_on_two_devices(window: Open) -> None:
    """Each device sees the other, what is written on it, and how far it has read."""
    laptop = await window("xenia", "devices", instance=0)
    yuri = await window("yuri", "devices", instance=1)
    await expect(laptop.page.locator("#devices li")).to_have_count(1)
    phone = await window("xenia", instance=1)
    await expect(laptop.page.locator("#devices li")).to_have_count(2)
    await expect(phone.page.locator("#devices li")).to_have_count(2)
    await laptop.say("from the laptop")
    await phone.until_texts(["from the laptop"])
    await expect(phone.last()).to_have_class(re.compile("mine"))
    await phone.page.goto(phone.page.url.split("#")[0] + "#list")
    await yuri.say("to both")
    await laptop.page.bring_to_front()
    await laptop.until_texts(["from the laptop", "to both"])
    await expect(phone.page.locator(".preview")).to_contain_text("to both")
    await expect(phone.page.locator(".badge")).to_have_count(0)
    await phone.page.context.close()
    await expect(laptop.page.locator("#devices li")).to_have_count(1)


async def test_an_instance_dies_under_an_open_page(lab: Lab, window: Open) -> None:
    """The page goes on with the other one: it misses nothing, shows nothing twice, and says what happened."""
    alice = await window("alice", "dying", instance=0)
    bob = await window("bob", "dying", instance=1)
    await bob.say("before")
    await alice.until_texts(["before"])

    await lab.kill(0)
    sent = asyncio.create_task(alice.say("while it is gone"))
    for number in range(3):
        await bob.say(f"meanwhile {number}")
    await sent
    await alice.live(1)
    await bob.say("after")
    await expect(bob.page.locator("#messages .text")).to_have_count(6)
    await alice.until_texts(await bob.texts())
    assert sorted(await bob.texts()) == sorted(
        ["before", "while it is gone", "meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]
    )
    await expect(alice.page.locator("#events")).to_contain_text("Connection lost")
    await lab.restart(0)


async def test_a_restart_is_announced(lab: Lab, window: Open) -> None:
    """A draining instance says so, its page comes back on the other one, sooner if there is reason to."""
    vera = await window("vera", "restart", instance=1)
    assert await lab.drain(1) == 0
    await expect(vera.page.locator("#events")).to_contain_text("1012")
    await expect(vera.page.locator("#toast")).to_contain_text("This server restarts")
    await vera.page.evaluate("() => dispatchEvent(new Event('online'))")
    await vera.live(0)
    await vera.say("and on")
    await expect(vera.last().locator(".ticks")).to_have_class(re.compile("stored"))
    await lab.restart(1)


async def test_what_is_missed_is_filled_in_and_marked(lab: Lab, window: Open) -> None:
    """Away and back: the page says how many messages it has caught up, and where they begin."""
    carol = await window("carol", "missed", instance=0)
    dave = await lab.client("dave", conversation="missed", instance=1)
    await dave.send("first")
    await carol.until_texts(["first"])
    await carol.page.get_by_role("button", name="Go offline").click()
    await expect(carol.page.locator("#connection")).to_contain_text("Offline")
    for number in range(3):
        await dave.send(f"missed {number}")
    await carol.page.get_by_role("button", name="Go online").click()
    await carol.until_texts(["first", "missed 0", "missed 1", "missed 2"])
    await expect(carol.page.locator(".divider.note")).to_have_text("3 missed messages filled in")
    await expect(carol.page.locator("#events")).to_contain_text("missed: 3 missed messages filled in")


async def test_what_is_written_offline_waits_and_is_sent_once(lab: Lab, window: Open) -> None:
    """It is shown as pending, outlives a reload of the page, and arrives once, with the id it had."""
    erin = await window("erin", "outbox", instance=0)
    frank = await lab.client("frank", conversation="outbox", instance=1)
    await erin.page.get_by_role("button", name="Go offline").click()
    await erin.say("written on a train")
    await expect(erin.last()).to_have_class(re.compile("pending"))
    await expect(erin.last().get_by_text("Waiting to be sent")).to_be_attached()
    await frank.expect_nothing("new_message")
    await erin.say("x" * 70_000)
    await expect(erin.page.get_by_text("This is too long for one message.")).to_be_visible()
    await erin.page.reload()
    await erin.live()
    await frank.expect("new_message", text="written on a train", timeout=DEADLINE_MS / 1000)
    await erin.until_texts(["written on a train"])
    await expect(erin.last()).not_to_have_class(re.compile("pending"))
    await frank.expect_nothing("new_message")


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


async def test_hostile_text_is_text(lab: Lab, window: Open) -> None:
    """In names, titles, messages, addresses and data: nothing runs, nothing is loaded, all of it can be read."""
    http = await lab.http("mallory")
    token = (await http.post("/api/v1/auth/token", json={"user_id": "mallory", "display_name": HOSTILE})).json()
    http.headers["Authorization"] = f"Bearer {token['access_token']}"
    made = await http.post("/api/v1/conversations", json={"title": HOSTILE, "participant_ids": ["grace"]})
    path = f"/api/v1/conversations/{made.json()['id']}/messages"
    for body in [
        {"content": HOSTILE},
        {"type": "media", "content": {"url": "javascript:alert(3)", "mime_type": "text/html", "name": HOSTILE}},
        {"type": "media", "content": {"url": "data:text/html,<script>alert(4)</script>", "mime_type": "image/png"}},
        {"type": "media", "content": {"url": "https://example.org/a/report.pdf", "mime_type": "application/pdf"}},
        {"type": "structured", "content": {HOSTILE: [HOSTILE]}},
        {"type": "system", "content": {"text": HOSTILE}},
    ]:
        assert (await http.post(path, json=body)).status_code == 201, body
    grace = await window("grace")
    asked: list[str] = []
    grace.page.on("request", lambda request: asked.append(request.url))
    await grace.page.locator(".conversation", has_text="onerror").click()
    await expect(grace.page.locator("#thread-title")).to_have_text(HOSTILE)
    await expect(grace.page.locator("#messages .text").first).to_have_text(HOSTILE)
    await expect(grace.page.locator("#messages .from").first).to_have_text(HOSTILE)
    await expect(grace.page.locator("#messages pre")).to_contain_text("onerror")
    links = await grace.page.locator("#messages a").evaluate_all("links => links.map(link => [link.href, link.rel])")
    assert links == [["https://example.org/a/report.pdf", "noopener noreferrer"]]
    assert await grace.page.locator("#app img, #app script, #app iframe").count() == 0
    assert [url for url in asked if not url.startswith("http://127.0.0.1:")] == []


async def test_history_comes_as_one_scrolls_up(lab: Lab, window: Open) -> None:
    """The last page first, the earlier ones when they are wanted; the place is kept."""
    henry = await lab.client("henry", conversation="long", instance=0)
    for number in range(0, 110, 10):
        await asyncio.gather(*(henry.send(f"line {number + one}") for one in range(10)))
    iris = await window("iris", "long", instance=1)
    rows = iris.page.locator("#messages .text")
    await expect(rows).to_have_count(50)
    await expect(iris.page.locator("#messages .text").last).to_be_in_viewport()
    for count in (100, 110):
        await iris.page.locator("#scroll").evaluate("element => element.scrollTo(0, 0)")
        await expect(rows).to_have_count(count)
    await iris.page.locator("#scroll").evaluate("element => element.scrollTo(0, 0)")
    await expect(iris.page.locator("#history-end")).to_have_text("This is the beginning.")
    await henry.send("one more")
    await expect(iris.page.locator("#to-latest")).to_have_text("1 new message")
    await iris.page.locator("#to-latest").click()
    await expect(rows.last).to_have_text("one more")
    await expect(rows.last).to_be_in_viewport()


async def test_the_keyboard_is_enough(lab: Lab, window: Open) -> None:
    """Begin a conversation, write, reply, mark as important, and add somebody, without a pointer."""
    jane = await window("jane")
    keys = jane.page.keyboard
    await jane.page.get_by_role("button", name="New", exact=True).focus()
    await keys.press("Enter")
    await expect(jane.page.get_by_role("dialog", name="New conversation")).to_be_visible()
    await expect(jane.page.get_by_role("textbox", name="People")).to_be_focused()
    await keys.type("kim")
    await keys.press("Enter")
    field = jane.page.get_by_label("Message", exact=True)
    await expect(field).to_be_focused()
    await keys.type("first line")
    await keys.press("Shift+Enter")
    await keys.type("second line")
    await keys.press("Enter")
    await jane.until_texts(["first line\nsecond line"])
    await expect(jane.last()).not_to_have_class(re.compile("pending"))

    await keys.press("Shift+Tab")
    await expect(jane.last()).to_be_focused()
    await keys.press("r")
    await expect(field).to_be_focused()
    await keys.type("a reply")
    await keys.press("Tab")
    await expect(jane.page.get_by_role("button", name="Mark as important")).to_be_focused()
    await keys.press("Space")
    await keys.press("Shift+Tab")
    await keys.press("Enter")
    await expect(jane.last()).to_contain_text("Important")
    await expect(jane.last().locator(".quote")).to_contain_text("first line second line")

    await jane.page.get_by_label("Add somebody").focus()
    await keys.type("lea")
    await keys.press("Enter")
    await expect(jane.page.locator("#people li")).to_have_count(3)


async def test_who_is_added_sees_it_and_who_is_removed_too(window: Open) -> None:
    """The conversation comes and goes on an open page, on another instance, without a reload."""
    mia = await window("mia", "club", instance=0)
    noah = await window("noah", instance=1)
    await expect(noah.page.locator("#conversations li")).to_have_count(0)
    await mia.page.get_by_label("Add somebody").fill("noah")
    await mia.page.get_by_role("button", name="Add", exact=True).click()
    await expect(noah.page.locator("#conversations li")).to_have_count(1)
    await expect(noah.page.locator("#thread-title")).to_have_text("club")
    await noah.page.get_by_role("button", name="Leave this conversation").click()
    await expect(noah.page.locator("#conversations li")).to_have_count(0)
    await expect(mia.page.locator("#people li")).to_have_count(1)


async def test_on_a_phone_one_pane_at_a_time(window: Open) -> None:
    """The list, then the conversation, and back; nothing is wider than the screen, everything can be touched."""
    olga = await window(
        "olga", "pocket", viewport={"width": 360, "height": 700}, is_mobile=True, has_touch=True, color_scheme="dark"
    )
    await olga.page.locator("#back").tap()
    await expect(olga.page.locator("#messages")).to_be_hidden()
    await olga.page.locator(".conversation").tap()
    await expect(olga.page.locator("#message-text")).to_be_visible()
    await olga.say("x" * 300)
    await olga.page.get_by_role("button", name="People, devices and connection").tap()
    await expect(olga.page.get_by_role("heading", name="Your devices")).to_be_visible()
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await olga.page.evaluate(wide) <= 0
    small = await olga.page.evaluate(
        """() => [...document.querySelectorAll("button, .conversation, input, textarea")]
            .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 29)
            .map((one) => one.outerHTML)"""
    )
    assert small == []


async def test_a_token_that_ends_is_no_end(lab: Lab, window: Open) -> None:
    """4001: the page signs in anew, by itself, and is live again; what was sent meanwhile arrives."""
    pat = await window("pat", "tokens")
    async with pat.page.expect_request("**/api/v1/devices") as asked:
        await pat.page.get_by_role("button", name="Go offline").click()
        await pat.page.get_by_role("button", name="Go online").click()
    token = (await (await asked.value).all_headers())["authorization"]
    await pat.live()
    http = await lab.http("pat")
    assert (await http.post("/api/v1/auth/logout", headers={"Authorization": token})).status_code == 204
    await expect(pat.page.locator("#events")).to_contain_text("4001")
    await pat.live()
    await pat.say("still here")
    await expect(pat.last().locator(".ticks")).to_have_class(re.compile("stored"))


async def test_outside_demo_mode_one_signs_in_with_a_token(lab: Lab, browser: Browser) -> None:
    """What the page asks for depends on the server; a wrong token is told, a good one outlives a reload."""
    context = await browser.new_context()
    page = await context.new_page()
    config = '{"instance_id": "one", "demo_login": false, "max_message_bytes": 65536, "peer_urls": []}'
    await page.route("**/api/v1/page-config", lambda route: route.fulfill(body=config, content_type="application/json"))
    await page.goto(lab.url(0))
    await page.get_by_label("Access token").fill("nonsense")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert").filter(has_text="This is no access token.")).to_be_visible()
    await page.get_by_label("Access token").fill(await lab.token("walter"))
    await page.get_by_role("button", name="Sign in").click()
    for _ in range(2):
        await expect(page.locator("#connection")).to_contain_text("Live on")
        await expect(page.locator("#me-name")).to_have_text("walter")
        await page.reload()
    await context.close()


async def test_the_assistant_answers_word_by_word(lab: Lab, window: Open) -> None:
    """One can see the answer come; in the end it is a message like any other, once."""
    quinn = await window("quinn", "questions", instance=1)
    await quinn.page.get_by_label("Add somebody").fill("assistant")
    await quinn.page.get_by_role("button", name="Add", exact=True).click()
    await expect(quinn.page.locator("#people li", has_text="assistant")).to_contain_text("answers to @assistant")
    await quinn.page.evaluate(
        """() => new MutationObserver(() => {
            const growing = document.querySelector(".message.answer .text");
            if (growing) (window.seen ??= new Set()).add(growing.textContent);
        }).observe(document.querySelector("#messages"), { childList: true, subtree: true })"""
    )
    question = "how does a message find its way to everybody who is connected to another instance than its sender"
    await quinn.say(question)
    answer = quinn.page.locator("#messages .message:not(.answer)", has_text="I am the offline assistant")
    await expect(answer).to_contain_text(question)
    await expect(quinn.page.locator("#messages .message")).to_have_count(2)
    assert len(await quinn.page.evaluate("() => [...window.seen]")) > 1


async def test_it_shows_in_the_frame_of_a_notebook(lab: Lab, browser: Browser) -> None:
    """A page of another port of this machine may show it; one from elsewhere may not."""
    notebook = lab.page("rose", conversation="framed")._repr_html_().encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + notebook)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        await expect(page.frame_locator("iframe").locator("#connection")).to_contain_text("Live on")
        await expect(page.frame_locator("iframe").locator("#thread-title")).to_have_text("framed")
        async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
            await page.goto(f"http://{ELSEWHERE}:{port}/")
        await context.close()


async def test_signing_in_by_hand(lab: Lab, window: Open, browser: Browser) -> None:
    """Any name, typed or picked; the same page can be left again."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(lab.url(0))
    await expect(page.get_by_label("Who are you?")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="Say a name.")).to_be_visible()
    await page.get_by_label("Who are you?").fill("Zoë Müller")
    await page.get_by_label("Who are you?").press("Enter")
    await expect(page.locator("#connection")).to_contain_text("Live on")
    await expect(page.locator("#me-name")).to_have_text("Zoë Müller")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="bob", exact=True).click()
    await expect(page.locator("#me-name")).to_have_text("bob")
    await context.close()
