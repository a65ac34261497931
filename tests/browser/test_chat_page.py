"""The chat page as people use it: a real browser, two instances, one of which dies."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from course import Lab
from course.chat_client.reconnect import Backoff, ReconnectPolicy
from course.chat_client.sequencer import Message, Sequencer
from course.run_tests import find_browser

DEADLINE_MS = 20_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
ELSEWHERE = "notebook.example"
ARGUMENTS.append(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1")
UNREACHABLE = re.compile("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED")
"""What the browser itself writes down when an instance is not there; a page can not keep it from that."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


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
    await expect(carol.page.locator(".divider.note")).to_have_text("3 messages caught up after the connection was lost")
    await expect(carol.page.locator("#events")).to_contain_text("3 missed messages filled in")


async def test_what_is_written_offline_waits_and_is_sent_once(lab: Lab, window: Open) -> None:
    """It is shown as pending, outlives a reload of the page, and arrives once, with the id it had."""
    erin = await window("erin", "outbox", instance=0)
    frank = await lab.client("frank", conversation="outbox", instance=1)
    await erin.page.get_by_role("button", name="Go offline").click()
    await erin.say("written on a train")
    await expect(erin.last()).to_have_class(re.compile("pending"))
    await expect(erin.last().get_by_text("Waiting to be sent")).to_be_attached()
    await frank.expect_nothing("new_message")
    await erin.page.reload()
    await erin.live()
    await frank.expect("new_message", text="written on a train")
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
    await asyncio.gather(*(henry.send(f"line {number}") for number in range(130)))
    iris = await window("iris", "long", instance=1)
    rows = iris.page.locator("#messages .text")
    await expect(rows).to_have_count(50)
    await expect(iris.page.locator("#messages .text").last).to_be_in_viewport()
    for count in (100, 130):
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
    await page.get_by_role("button", name="bob").click()
    await expect(page.locator("#me-name")).to_have_text("bob")
    await context.close()


SEQUENCER_RUN = """async ([base, runs]) => {
    const { Sequencer } = await import(`${base}/static/sequencer.js`);
    return runs.map(steps => {
        const sequencer = new Sequencer(3);
        return steps.map(([step, seq]) => {
            let out = [];
            if (step === "offer") out = sequencer.offer({ seq });
            else if (step === "own") out = sequencer.offerOwn({ seq });
            else if (step === "head") sequencer.noteHead(seq);
            else sequencer.expectSnapshot(seq);
            return [out.map(one => one.seq), sequencer.lastSeq, sequencer.hasGap, sequencer.duplicates];
        });
    });
}"""

POLICY_RUN = """async ([base, runs]) => {
    const { ReconnectPolicy } = await import(`${base}/static/reconnect.js`);
    return runs.map(steps => {
        const policy = new ReconnectPolicy({ random: () => 0.5 });
        return steps.map(([code, reason, lasted]) => {
            if (lasted !== null) policy.connected();
            return policy.pauseAfter(code, reason, lasted);
        });
    });
}"""


async def test_the_page_decides_as_the_python_client_does(lab: Lab, window: Open) -> None:
    """Order, gaps, snapshots and pauses: the same answers as ``course/chat_client``, over thousands of steps."""
    page = (await window("sam")).page
    rng = random.Random(7)
    kinds = ["offer"] * 8 + ["own"] * 3 + ["head"] * 2 + ["snapshot"]
    runs = [[[rng.choice(kinds), rng.randrange(13)] for _ in range(30)] for _ in range(300)]
    assert await page.evaluate(SEQUENCER_RUN, [lab.url(0), runs]) == [_sequenced(steps) for steps in runs]
    closes = [
        (1006, ""),
        (1011, ""),
        (1012, "within 8 s"),
        (1012, ""),
        (1013, ""),
        (4001, ""),
        (4003, ""),
        (4008, ""),
        (1008, ""),
    ]
    ends = [[[*rng.choice(closes), rng.choice([None, 0.01, 60])] for _ in range(12)] for _ in range(100)]
    answers = await page.evaluate(POLICY_RUN, [lab.url(0), ends])
    assert answers == [[pytest.approx(pause) if pause else pause for pause in _pauses(steps)] for steps in ends]


def _sequenced(steps: list[Any]) -> list[Any]:
    sequencer, results = Sequencer(3), []
    for step, seq in steps:
        out: list[Message] = []
        if step == "offer":
            out = sequencer.offer(seq, {"seq": seq})
        elif step == "own":
            out = sequencer.offer_own(seq, {"seq": seq})
        elif step == "head":
            sequencer.note_head(seq)
        else:
            sequencer.expect_snapshot(seq)
        results.append([[one["seq"] for one in out], sequencer.last_seq, sequencer.has_gap, sequencer.duplicates])
    return results


class _Middle(random.Random):
    """Always the middle of the range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def _pauses(steps: list[Any]) -> list[float | None]:
    policy, pauses = ReconnectPolicy(Backoff(rng=_Middle()), can_ask_token=True), []
    for code, reason, lasted in steps:
        if lasted is not None:
            policy.connected()
        pauses.append(policy.pause_after(code, reason, lasted))
    return pauses


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_read_and_find_it(scheme: str, lab: Lab, window: Open) -> None:
    """Landmarks, names, one heading each, text in a contrast of 4.5 or more: in both colour schemes."""
    tess = await window("tess", f"readable {scheme}", color_scheme=scheme)
    uma = await lab.client("uma", conversation=f"readable {scheme}", instance=1)
    for text, important in (("see https://example.org", False), ("now", True)):
        await uma.send(text, is_important=important)
    await tess.say("read")
    await expect(tess.last().locator(".ticks")).to_be_visible()
    await tess.page.get_by_role("button", name="Go offline").click()
    await tess.say("pending")
    for role, name in [
        ("banner", None), ("navigation", "Conversations"), ("main", f"readable {scheme}"),
        ("complementary", "Details"), ("log", re.compile("^Messages")), ("heading", "People"),
        ("textbox", "Message"), ("button", "Send"),
            ("link", re.compile(f"^readable {scheme}")), ("button", "Remove uma"),
    ]:  # fmt: skip
        found = tess.page.get_by_role(cast(Any, role), name=cast(Any, name))
        assert await found.count() == 1, (role, name)
    assert await tess.page.evaluate(NAMELESS) == []
    assert await tess.page.evaluate(LOW_CONTRAST) == []
    await tess.page.get_by_role("button", name="New", exact=True).click()
    assert await tess.page.evaluate(LOW_CONTRAST) == []


NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, textarea, [role=log], nav, aside, dialog")]
    .filter(one => one.checkVisibility())
    .filter(one => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length
        || one.hasAttribute("aria-labelledby")))
    .map(one => one.outerHTML.slice(0, 120))"""

LOW_CONTRAST = """() => {
    const parse = text => {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        return text.startsWith("color(") ? [...numbers.slice(0, 3).map(x => x * 255), numbers[3] ?? 1]
            : [...numbers.slice(0, 3), numbers[3] ?? 1];
    };
    const over = ([r, g, b, a], ground) => [r, g, b].map((x, i) => x * a + ground[i] * (1 - a));
    const ground = element => {
        if (element === null) return [255, 255, 255];
        const colour = parse(getComputedStyle(element).backgroundColor);
        return colour[3] === 1 ? colour.slice(0, 3) : over(colour, ground(element.parentElement));
    };
    const light = rgb => {
        const [r, g, b] = rgb.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = element =>
        element === null ? 1 : Number(getComputedStyle(element).opacity) * faint(element.parentElement);
    const low = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility() || element.closest(".only-sr, noscript")) continue;
        const behind = ground(element);
        const colour = parse(getComputedStyle(element).color);
        const text = over([colour[0], colour[1], colour[2], colour[3] * faint(element)], behind);
        const [high, deep] = [light(text), light(behind)].sort((a, b) => b - a);
        const contrast = (high + 0.05) / (deep + 0.05);
        if (contrast < 4.5) low.push(`${contrast.toFixed(2)} ${element.className} ${node.data.trim().slice(0, 30)}`);
    }
    return low;
}"""
