"""``course lab``: JupyterLab on the start page, offline, with nothing written outside of the project."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import socket
import sys
import webbrowser
from pathlib import Path

from course.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".breakwire" / "jupyter"
START_PAGE = "notebooks/00_start_here.ipynb"
START_DEADLINE_S = 60
STOP_DEADLINE_S = 5

SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": False,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 30},
}
"""No news prompt, no update check. A setting on the command line alone does not do it."""


def run(*, port: int, browser: bool) -> None:
    """Runs JupyterLab until Ctrl-C or SIGTERM. Raises ``UserError``."""
    asyncio.run(_run(port, browser))


def command(port: int, token: str) -> list[str]:
    """The command line. The extension manager and its catalogue are off: they would ask the network."""
    return [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.app_settings_dir={STATE / 'app-settings'}",
        f"--LabApp.user_settings_dir={STATE / 'user-settings'}",
        f"--LabApp.workspaces_dir={STATE / 'workspaces'}",
        f"--LabApp.default_url=/lab/tree/{START_PAGE}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--ServerApp.open_browser=False",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.shutdown_no_activity_timeout=0",
        "--MappingKernelManager.shutdown_wait_time=2",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Ours, with Jupyter's own folders inside the project: a user's Jupyter neither breaks it nor is touched."""
    own = {
        "JUPYTER_CONFIG_DIR": str(STATE / "config"),
        "JUPYTER_DATA_DIR": str(STATE / "data"),
        "JUPYTER_RUNTIME_DIR": str(STATE / "runtime"),
        "IPYTHONDIR": str(STATE / "ipython"),
        "MPLCONFIGDIR": str(STATE / "matplotlib"),
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "BREAKWIRE_PARENT": str(os.getpid()),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    return inherited | own


def write_settings() -> None:
    """What JupyterLab reads at its start."""
    for folder in ("app-settings", "user-settings", "workspaces", "config/labconfig", "data", "runtime", "ipython"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    (STATE / "app-settings" / "overrides.json").write_text(json.dumps(SETTINGS, indent=2))
    disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (STATE / "config" / "labconfig" / "page_config.json").write_text(json.dumps(disabled, indent=2))


async def _run(port: int, browser: bool) -> None:
    if not (ROOT / START_PAGE).exists():
        raise UserError(f"{START_PAGE} is missing; run `course lab` from a complete checkout")
    write_settings()
    port, token = _free_port(port), secrets.token_urlsafe(24)
    server = await asyncio.create_subprocess_exec(
        *command(port, token), env=environment(), cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ready = asyncio.Event()
    log = asyncio.create_task(_watch_log(server, ready))
    try:
        await _first(ready, stop, server)
        if ready.is_set():
            url = f"http://127.0.0.1:{port}/lab/tree/{START_PAGE}?token={token}"
            sys.stdout.write(f"JupyterLab is at {url}\nCtrl-C stops it.\n")
            sys.stdout.flush()
            if browser:
                await asyncio.to_thread(_open, url)
            await _first(stop, None, server)
    finally:
        await _stop(server)
        tail = await log
    if not stop.is_set() and server.returncode:
        raise UserError(f"JupyterLab has ended with {server.returncode}:\n{tail}", exit_code=1)


async def _first(wanted: asyncio.Event, other: asyncio.Event | None, server: asyncio.subprocess.Process) -> None:
    """Returns when one of the events is set or the server has ended."""
    waiting = [asyncio.create_task(event.wait()) for event in (wanted, other) if event is not None]
    ended = asyncio.create_task(server.wait())
    _, late = await asyncio.wait([*waiting, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    await asyncio.wait([*waiting, ended])


async def _watch_log(server: asyncio.subprocess.Process, ready: asyncio.Event) -> str:
    """Reads the server's log to its end, so that it never blocks; returns the last lines."""
    lines: list[str] = []
    stream = server.stderr
    while stream is not None and (line := await stream.readline()):
        text = line.decode(errors="replace").rstrip()
        lines = [*lines[-14:], re.sub(r"token=[\w-]+", "token=…", text)]
        if "is running at" in text:
            ready.set()
    return "\n".join(lines)


async def _stop(server: asyncio.subprocess.Process) -> None:
    """SIGTERM makes Jupyter shut its kernels down without a question; what is late is killed."""
    with contextlib.suppress(ProcessLookupError):
        server.terminate()
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            await server.wait()
    except TimeoutError:
        server.kill()
        await server.wait()


def _free_port(wanted: int) -> int:
    """``wanted``, or the next one that nobody listens on. Raises ``UserError``."""
    for port in range(wanted, wanted + 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise UserError(f"no free port from {wanted} to {wanted + 49}; choose another with --port")


def _open(url: str) -> None:
    """A browser if there is one. The URL is printed anyway."""
    with contextlib.suppress(webbrowser.Error):
        if (
            os.name == "nt"
            or sys.platform == "darwin"
            or os.environ.get("DISPLAY")
            or os.environ.get("WAYLAND_DISPLAY")
        ):
            webbrowser.open(url)
