"""The live view as a learner meets it: in JupyterLab, in a real browser, while the lab is at work."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from course.run_tests import find_browser
from tests.browser.test_jupyterlab import ARGUMENTS, NOTEBOOKS, PAGE_MS, PANEL, jupyterlab, new_notebook

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]

CELLS = [
    """from course import Lab
lab = await Lab.start(instances=2)
view = lab.live()
view""",
    """alice = await lab.client("alice", instance=0)
bob = await lab.client("bob", instance=1)
await alice.send("hello <b>Bob</b>")
_ = await bob.expect("new_message")""",
    """await lab.kill(1)
await bob.wait_closed()
await alice.send("still there?")""",
    """for number in range(40):
    await alice.send(f"message {number}")""",
    """chosen = await alice.send("only this one")
lab.live(chosen)""",
    "await lab.stop()",
    "view",
]
RAN_MS = 60_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """JupyterLab with a notebook of a lab and its live view. No cell has run yet."""
    folder = tmp_path_factory.mktemp("live")
    with jupyterlab(folder) as url, sync_playwright() as playwright:
        (folder / "notebooks" / "live.ipynb").write_text(json.dumps(new_notebook(CELLS)))
        path = find_browser()
        assert path is not None, "CI needs a Chromium"
        browser: Browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1500, "height": 1150})
        opened.goto(url.replace(NOTEBOOKS[0], "live.ipynb"))
        ready = f"{PANEL}?.context?.path === 'notebooks/live.ipynb' && {PANEL}.sessionContext?.session?.kernel?.status"
        opened.wait_for_function(f"() => ({ready}) === 'idle'", timeout=PAGE_MS)
        yield opened
        opened.close()
        browser.close()


def run(page: Page, number: int) -> None:
    """One cell, to its end; it must not fail."""
    page.evaluate(
        """(number) => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = number;
            notebook.deselectAll();
            return window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        number,
    )
    done = f"(number) => {PANEL}.context.model.toJSON().cells[number].execution_count !== null"
    page.wait_for_function(done, arg=number, timeout=RAN_MS)
    outputs = page.evaluate(f"(number) => {PANEL}.context.model.toJSON().cells[number].outputs", number)
    assert not [output for output in outputs if output["output_type"] == "error"], outputs


def shot(page: Page, name: str) -> None:
    """A picture for people, where they ask for one."""
    if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
        page.screenshot(path=Path(shots, f"live.{name}.png"))


def position(view: Locator) -> tuple[int, int]:
    """Which step of how many."""
    found = re.search(r"step (\d+) of (\d+)", view.locator(".bw-counter").inner_text())
    assert found
    return int(found[1]), int(found[2])


def test_a_learner_follows_steps_and_breaks(page: Page) -> None:
    """Live rows, payload by click, state by step, keyboard, filters, table, a fault, folding, dark, and the end."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    run(page, 0)
    view = page.locator(".bw-live").first
    expect(view).to_be_visible(timeout=PAGE_MS)
    expect(view.locator(".bw-pill")).to_have_text("live")

    run(page, 1)
    row = view.locator(".bw-row[data-hop=client_received]").first
    expect(row).to_be_visible(timeout=PAGE_MS)
    shot(page, "message")
    assert_lanes_and_payload(view)
    assert_steps_change_the_state(page, view)
    assert_keys_step_and_are_told(page, view)

    run(page, 2)
    expect(view.locator(".bw-row[data-hop=kill]")).to_be_visible(timeout=PAGE_MS)
    lost = view.locator(".bw-row.bw-missing[data-hop=missing]").last
    expect(lost).to_contain_text("never arrived: instance-1 was killed", timeout=PAGE_MS)
    view.get_by_role("button", name="Last step").click()
    expect(view.locator(".bw-lane.bw-dead").first).to_contain_text("instance-1")
    shot(page, "killed")

    run(page, 3)
    assert_filters_and_table(page, view)
    assert_folds_open(view)
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'", timeout=PAGE_MS)
    dark = "el => getComputedStyle(el).backgroundColor.match(/\\d+/g).slice(0, 3).every(part => part < 90)"
    page.wait_for_function(f"() => ({dark})(document.querySelector('.bw-live'))", timeout=PAGE_MS)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=PAGE_MS)
    shot(page, "dark")

    run(page, 4)
    chosen = page.locator(".bw-live").nth(1)
    expect(chosen.get_by_label("Filter by message")).to_have_value(re.compile(r"\d+"), timeout=PAGE_MS)
    assert position(chosen)[1] < 30

    run(page, 5)
    expect(view.locator(".bw-pill")).to_have_text("ended", timeout=PAGE_MS)
    run(page, 6)
    again = page.locator(".bw-live").nth(2)
    again.scroll_into_view_if_needed()
    expect(again.locator(".bw-pill")).to_have_text("ended", timeout=PAGE_MS)
    assert position(again)[1] > 40
    assert complaints == []


def assert_lanes_and_payload(view: Locator) -> None:
    """A lane for everybody; a click shows ids, times and the frame, and a message's text is never markup."""
    for name in ("alice", "bob", "instance-0", "instance-1", "Redis", "store"):
        expect(view.locator(".bw-lane", has_text=name).first).to_be_visible()
    view.locator(".bw-row[data-hop=client_received]").first.click()
    card = view.get_by_role("region", name="This step")
    expect(card).to_contain_text("message_id")
    expect(card.locator("pre")).to_contain_text('"action": "new_message"')
    expect(card.locator("pre")).to_contain_text("hello <b>Bob</b>")
    expect(card.locator("pre b")).to_have_count(0)


def assert_steps_change_the_state(page: Page, view: Locator) -> None:
    """At ``enqueued`` bob's outbox goes from empty to one frame, at ``written`` back; backwards as forwards."""
    board = view.get_by_role("region", name="What every manager holds")
    for _ in range(2):
        view.locator(".bw-row[data-hop=enqueued]").first.click()
        expect(board.locator(".bw-changed", has_text="1 frame").first).to_contain_text("empty → 1 frame")
        view.locator(".bw-row[data-hop=written]").first.click()
        expect(board.locator(".bw-changed", has_text="1 frame").first).to_contain_text("→ empty")
        view.get_by_role("button", name="First step").click()
        expect(board.locator(".bw-changed", has_text="frame")).to_have_count(0)


def assert_keys_step_and_are_told(page: Page, view: Locator) -> None:
    """Arrow keys, Home, End and Space are the view's, not the notebook's; each step is said aloud."""
    cell = f"() => {PANEL}.content.activeCellIndex"
    view.locator(".bw-scroll").focus()
    before = page.evaluate(cell)
    page.keyboard.press("Home")
    assert position(view)[0] == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert position(view)[0] == 3
    expect(view.get_by_role("status")).to_contain_text("Step 3 of")
    page.keyboard.press("ArrowLeft")
    assert position(view)[0] == 2
    page.keyboard.press(" ")
    expect(view.get_by_role("button", name="Pause")).to_be_visible()
    expect(view.locator(".bw-counter")).to_contain_text("step 4 of")
    page.keyboard.press(" ")
    expect(view.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("End")
    assert position(view)[0] == position(view)[1]
    assert page.evaluate(cell) == before


def assert_filters_and_table(page: Page, view: Locator) -> None:
    """Kinds, message, user and hop; the table has what the drawing has."""
    everything = position(view)[1]
    view.get_by_role("button", name=re.compile("^presence")).click()
    assert position(view)[1] > everything
    view.get_by_role("button", name=re.compile("^presence")).click()
    view.get_by_label("Filter by hop").select_option("published")
    expect(view.locator(".bw-row[data-hop=published]").first).to_be_visible()
    hops = {row.get_attribute("data-hop") for row in view.locator(".bw-row[data-hop]").all()}
    assert hops <= {"published", "kill"}  # what was done belongs to every story
    view.get_by_label("Filter by hop").select_option("")
    view.get_by_label("Filter by message").select_option(index=1)
    view.get_by_role("button", name="Show as a table").click()
    table = view.locator(".bw-table table")
    expect(table.locator("tbody tr")).to_have_count(position(view)[1])
    expect(table).to_contain_text("outbox of bob")
    shot(page, "table")
    view.get_by_role("button", name="Show as a table").click()
    view.get_by_label("Filter by message").select_option("")


def settled(view: Locator) -> int:
    """How many steps there are once no more come: the rows of the cell that ran arrive in batches."""
    counts = [-1]
    while counts[-3:] != [counts[-1]] * 3:
        counts.append(position(view)[1])
        view.page.wait_for_timeout(500)
        assert len(counts) < 60, "it never comes to rest"
    return counts[-1]


def assert_folds_open(view: Locator) -> None:
    """Forty messages alike: a line says how many rows it stands for, and a click shows them."""
    before = settled(view)
    view.locator(".bw-scroll").hover()
    fold = view.locator(".bw-fold").first
    for step in range(200):  # only what is in sight is drawn, and a busy browser draws late: round and round
        if fold.count():
            break
        view.locator(".bw-scroll").evaluate(f"el => {{ el.scrollTop = ({step} * 150) % el.scrollHeight; }}")
        view.page.wait_for_timeout(100)
    more = int(fold.get_attribute("data-fold") or 0)
    expect(fold).to_have_text(f"… {more} more like this")
    this_fold = view.locator(f".bw-fold[data-fold='{more}']").first
    for _ in range(50):  # a late drawing between press and release takes away what was pressed: then that was no click
        if not this_fold.count():
            break
        this_fold.click()
        view.page.wait_for_timeout(100)
    assert position(view)[1] == before + more
