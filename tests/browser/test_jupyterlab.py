"""The course as a learner meets it: JupyterLab, in a real browser, every cell run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from course.run_tests import find_browser

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_browser() is None and os.environ.get("CI") != "true", reason="no Chromium on this machine"),
]


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """``course lab`` in a copy of the project, so that nobody's notebooks are saved over; yields its URL."""
    for name in ("notebooks", "exercises", "course", "reference_impl", "requirements.lock"):
        source = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(source, folder / name, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
    environment = os.environ | {"HOME": str(folder / "empty-home"), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "course", "lab", "--no-browser", "--port", "18888"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stderr.read()
            yield found[0]
            family = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive, alive


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    assert path is not None, "CI needs a Chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def lab_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as url:
        yield url


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_in_a_real_browser(name: str, lab_url: str, browser: Browser, tmp_path: Path) -> None:
    """Every cell runs to its end without an error; the drawings are there; no prompt, no request to elsewhere."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(lab_url.replace("00_start_here.ipynb", name))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached", timeout=60_000)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_role("menuitem", name=re.compile("Run All Cells")).first.click()
    _wait_until_all_cells_have_run(page, name)
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.locator(".jp-RenderedSVG img, .jp-RenderedSVG svg").count() >= 1
    assert page.locator(".jp-toast, .Toastify__toast").filter(has_text=re.compile("news|update", re.I)).count() == 0
    elsewhere = [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None)]
    assert not elsewhere
    if (shots := os.environ.get("BREAKWIRE_SCREENSHOTS")) is not None:
        page.screenshot(path=f"{shots}/{name}.png")
    page.close()


def _wait_until_all_cells_have_run(page: Page, name: str) -> None:
    """By the notebook's own model: JupyterLab shows only the cells in view."""
    end = time.monotonic() + 120
    page.wait_for_timeout(500)  # the menu's command has to reach the kernel before "idle" means anything
    while True:
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached", timeout=120_000)
        states = page.evaluate(CELL_STATES)
        assert not states["errors"], f"{name}: {states['errors']}"
        if states["total"] and states["run"] == states["total"]:
            return
        assert time.monotonic() < end, f"{name}: {states}"
        page.wait_for_timeout(200)


CELL_STATES = """() => {
  const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
  const errors = [...document.querySelectorAll('.jp-Notebook [data-mime-type="application/vnd.jupyter.error"]')];
  return {
    total: prompts.length,
    run: prompts.filter(text => /\\[\\d+\\]/.test(text)).length,
    errors: errors.map(e => e.textContent.slice(0, 2000)),
  };
}"""
