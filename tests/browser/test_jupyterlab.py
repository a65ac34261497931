"""The course as a learner meets it: JupyterLab in a real browser, every cell run, everything gone afterwards."""

import json
import os
import re
import selectors
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from course.run_tests import find_browser

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
ALWAYS = ("00_start_here.ipynb",)
"""The others take minutes here: `pytest -m long`. Under nbval every run has all of them."""
START_S, STOP_S = 60, 15
PAGE_MS, NOTEBOOK_MS = 60_000, 150_000
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def lab_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("course")
    with jupyterlab(folder) as url:
        yield url
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".breakwire", "home", "notebooks"]
    assert not list((folder / "home").iterdir()), "something was written to HOME"
    assert not list((folder / "notebooks").glob(".*")), "something was left beside the notebooks"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    assert path is not None, "CI needs a Chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.long]) for name in NOTEBOOKS]
)
def test_run_all_in_a_real_browser(name: str, lab_url: str, page: Page) -> None:
    """Every cell runs without an error, the drawings show, nothing asks about news, nothing leaves the machine."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    open_notebook(page, lab_url, name)
    before = notebook(page)
    run_all_cells(page)
    after = notebook(page)

    assert not failures(after)
    assert drawings(after) == drawings(before)
    if drawings(after):
        assert_a_drawing_shows(page, name)
    assert page.get_by_text(re.compile("Jupyter news|update available", re.IGNORECASE)).count() == 0
    assert not [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None)]
    assert not [url for url in asked if "/lab/api/news" in url or "/lab/api/update" in url]


def test_restart_and_run_all_again(lab_url: str, page: Page) -> None:
    """A kernel that is restarted takes its servers along; the notebook then runs as the first time."""
    start = "from course import Lab\nlab = await Lab.start(instances=2)\nalice = await lab.client('alice')"
    make_notebook(page, lab_url, "again.ipynb", [start, "await alice.send('hello')"])
    open_notebook(page, lab_url, "again.ipynb")
    others = server_processes()  # the start page's lab, if that has run before
    run_all_cells(page)
    first = [process for process in server_processes() if process not in others]
    assert len(first) >= 2, "the lab is still there"
    page.evaluate(f"() => {PANEL}.sessionContext.session.kernel.restart()")
    assert not psutil.wait_procs(first, timeout=STOP_S)[1]
    run_all_cells(page)
    assert not failures(notebook(page))


def server_processes() -> list[psutil.Process]:
    """The instances and their Redis that a notebook of this test has started."""
    family = psutil.Process().children(recursive=True)
    return [one for one in family if {"course.workbench.instance", "valkey-server"} & set(command_of(one))]


def command_of(process: psutil.Process) -> list[str]:
    """Its command line, with the program's bare name first; empty when it has just ended."""
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return [Path(command[0]).name, *command[1:]] if command else []


PAGES = """\
import os

os.environ["JUPYTERHUB_SERVICE_PREFIX"] = "/"  # as on a hub, where only Jupyter's port is open
from course import Lab

lab = await Lab.start(instances=2)
lab.pages("ann", "ben", conversation="lunch")"""


def test_two_people_chat_through_jupyters_port(lab_url: str, page: Page) -> None:
    """The chat page of two users on two instances, side by side in a cell, with no other port open than Jupyter's."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    make_notebook(page, lab_url, "pages.ipynb", [PAGES, "await lab.stop()"])
    open_notebook(page, lab_url, "pages.ipynb")
    run_cells(page, 1)
    frames = [page.frame_locator(f"iframe[title='Chat as {user}']") for user in ("ann", "ben")]
    for frame in frames:
        frame.locator("#connection", has_text="Live on").wait_for(timeout=PAGE_MS)
    frames[0].get_by_label("Message", exact=True).fill("soup at noon?")
    frames[0].get_by_label("Message", exact=True).press("Enter")
    frames[1].locator("#messages .message", has_text="soup at noon?").wait_for(timeout=PAGE_MS)
    run_cells(page, 1)
    port = urlsplit(lab_url).port
    assert {urlsplit(url).port for url in asked if urlsplit(url).hostname} == {port}
    assert [url for url in asked if url.startswith("ws") and "/proxy/" in url]


def new_notebook(sources: list[str]) -> dict[str, Any]:
    """A notebook with these code cells; none has run."""
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for n, source in enumerate(sources)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def make_notebook(page: Page, lab_url: str, name: str, sources: list[str]) -> None:
    """A new notebook beside the others, with these code cells."""
    document = new_notebook(sources)
    place, token = lab_url.split("/lab/")[0], lab_url.split("token=")[1]
    answer = page.request.put(
        f"{place}/api/contents/notebooks/{name}",
        headers={"Authorization": f"token {token}"},
        data=json.dumps({"type": "notebook", "format": "json", "content": document}),
    )
    assert answer.ok, answer.text()


def run_cells(page: Page, count: int) -> None:
    """Runs the next cells one by one, and waits for each."""
    for _ in range(count):
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')")


def open_notebook(page: Page, lab_url: str, name: str) -> None:
    """Waits until it is in front, JupyterLab may first show what was open before, and its kernel is ready."""
    page.goto(lab_url.replace(NOTEBOOKS[0], name))
    in_front = f"{PANEL}?.context?.path === 'notebooks/{name}'"
    ready = f"{PANEL}.sessionContext?.session?.kernel?.status === 'idle'"
    page.wait_for_function(f"() => {in_front} && {ready}", timeout=PAGE_MS)
    if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
        page.screenshot(path=Path(shots, f"{name}.opened.png"))


def run_all_cells(page: Page) -> None:
    """As a learner does, from the menu. The stored outputs go first: they would look like those of this run."""
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(ALL_RUN_OR_ONE_FAILED, timeout=NOTEBOOK_MS)


def notebook(page: Page) -> dict[str, Any]:
    """All of it, from JupyterLab's model: the page itself has only the cells in view."""
    text = page.evaluate(f"() => JSON.stringify({PANEL}.context.model.toJSON())")
    return dict(json.loads(text))


def outputs(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Of all its cells."""
    return [output for cell in document["cells"] for output in cell.get("outputs", [])]


def failures(document: dict[str, Any]) -> list[str]:
    """The errors in it, and the cells that have not run."""
    raised = [output["ename"] + ": " + output["evalue"] for output in outputs(document) if "ename" in output]
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    return raised + ["not run: " + "".join(cell["source"]) for cell in code if cell["execution_count"] is None]


def drawings(document: dict[str, Any]) -> int:
    """How many outputs have a drawing."""
    return sum(not {"image/svg+xml", "image/png"}.isdisjoint(output.get("data", {})) for output in outputs(document))


def assert_a_drawing_shows(page: Page, name: str) -> None:
    """Goes to the first cell with a drawing, and waits until the browser has painted one that has a size."""
    page.evaluate(f"""() => {{
        const widgets = {PANEL}.content.widgets;
        const isDrawing = output => output.data?.['image/svg+xml'] || output.data?.['image/png'];
        const drawn = cell => cell.model.type === 'code' && cell.model.outputs.toJSON().some(isDrawing);
        return {PANEL}.content.scrollToItem(widgets.findIndex(drawn), 'center');
    }}""")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-RenderedSVG img, .jp-RenderedImage img')]"
        ".some(i => i.complete && i.naturalWidth > 100)",
        timeout=PAGE_MS,
    )
    if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
        page.screenshot(path=Path(shots, f"{name}.run.png"))


PANEL = "window.jupyterapp?.shell?.currentWidget"
ALL_RUN_OR_ONE_FAILED = f"""() => {{
    const code = {PANEL}.context.model.toJSON().cells.filter(cell => cell.cell_type === 'code');
    const failed = code.some(cell => cell.outputs.some(output => output.output_type === 'error'));
    return failed || code.every(cell => cell.execution_count !== null);
}}"""


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """``course lab`` on a copy of the notebooks, with an empty HOME; yields its URL. It leaves no process."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (folder / "home").mkdir()
    command = [sys.executable, "-m", "course", "lab", "--no-browser", "--port", "0", "--", "--expose-app-in-browser"]
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | {"HOME": str(folder / "home")}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield url_of(process)
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            _, alive = psutil.wait_procs(family, timeout=STOP_S)
            for left in alive:
                left.kill()
    assert not alive, f"still running after {STOP_S} s: {alive}"
    assert process.returncode == 0


def url_of(process: subprocess.Popen[str]) -> str:
    """The address that ``course lab`` prints once it listens."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(START_S), f"no line in {START_S} s"
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    return found[0]
