"""What the chat page decides, held against the Python client; and whether everybody can read and find what is on it."""

import os
import random
import re
from typing import Any, cast

import pytest
from playwright.async_api import expect

from course import Lab
from course.chat_client.reconnect import Backoff, ReconnectPolicy
from course.chat_client.sequencer import Message, Sequencer
from course.run_tests import find_browser
from tests.browser.chat_window import Open

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


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


STORE_RUN = """async base => {
    const { Store } = await import(`${base}/static/store.js`);
    const store = new Store();
    const answer = { id: "c", title: "c", creator_id: "a", participant_ids: ["a", "b"], created_at: "2026-01-01T00:00Z",
        seq: 4, unread_count: 2, positions: { a: { delivered: 2, read: 2 }, b: { delivered: 4, read: 4 } } };
    const held = store.putConversation(answer);
    const message = (seq, sender_id = "b") => ({ id: `m${seq}`, seq, sender_id, timestamp: "2026-01-01T00:00Z" });
    const seen = [];
    const note = () => seen.push([held.messages.map(one => one.seq), held.unread("a"), held.hasEarlier]);
    note();
    held.add(message(5)); note();
    held.addEarlier([1, 2, 3, 4].map(seq => message(seq)), true); note();
    held.add(message(5)); note();
    held.advance("read", "a", 4); note();
    held.add(message(6, "a")); note();
    held.expectSnapshot(); note();
    held.add(message(90)); held.add(message(91)); note();
    held.expectSnapshot(); held.add(message(2)); note();
    return seen;
}"""


async def test_what_the_page_holds(lab: Lab, window: Open) -> None:
    """History before, messages after, each once; unread ones counted by the server and since; a snapshot replaces."""
    page = (await window("sam")).page
    assert await page.evaluate(STORE_RUN, lab.url(0)) == [
        [[], 2, True],
        [[5], 3, True],
        [[1, 2, 3, 4, 5], 3, False],
        [[1, 2, 3, 4, 5], 3, False],
        [[1, 2, 3, 4, 5], 1, False],
        [[1, 2, 3, 4, 5, 6], 0, False],
        [[1, 2, 3, 4, 5, 6], 0, False],
        [[90, 91], 2, True],
        [[2], 0, True],
    ]


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
