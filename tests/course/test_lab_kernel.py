"""A lab in a Jupyter kernel: Stop stops the cell and nothing else, and what the kernel started ends with it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from jupyter_client.manager import AsyncKernelManager

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(jupyter_client|zmq).*"),
]

START = """
import asyncio
from course import Lab
lab = await Lab.start(instances=2)
alice = await lab.client("alice")
"""
GONE_S = 10.0
"""Usually one second or less; a busy machine takes longer."""


class Kernel:
    """A kernel, its client, and what its cells said."""

    def __init__(self, folder: Path) -> None:
        self._manager = AsyncKernelManager(kernel_name="python3")
        self._folder = folder

    async def start(self) -> None:
        environment = os.environ | {"TMPDIR": str(self._folder), "PYTHONPATH": str(Path.cwd())}
        await self._manager.start_kernel(env=environment)
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=30)

    async def run(self, code: str, *, printed: asyncio.Event | None = None) -> str:
        """Runs a cell; returns what it printed and showed, or ``Name: message`` of its exception.

        ``printed`` is set when it has printed something.
        """
        number = self._client.execute(code)
        said = []
        async with asyncio.timeout(30):
            while True:
                message = await self._client.get_iopub_msg()
                if message["parent_header"].get("msg_id") != number:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "stream":
                    said.append(content["text"])
                    if printed is not None:
                        printed.set()
                elif kind == "execute_result":
                    said.append(content["data"]["text/plain"])
                elif kind == "error":
                    said.append(f"{content['ename']}: {content['evalue']}")
                elif kind == "status" and content["execution_state"] == "idle":
                    return "".join(said)

    async def interrupt(self) -> None:
        """The Stop button."""
        await self._manager.interrupt_kernel()

    @property
    def process(self) -> psutil.Process:
        """The kernel's process."""
        provisioner: Any = self._manager.provisioner
        return psutil.Process(provisioner.process.pid)

    async def end(self) -> None:
        """SIGKILL if it still runs, and the channels."""
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)


@pytest_asyncio.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    """A started kernel whose temporary files go to the test's folder."""
    started = Kernel(tmp_path)
    await started.start()
    try:
        yield started
    finally:
        await started.end()


async def test_stop_ends_the_cell_and_leaves_the_lab(kernel: Kernel) -> None:
    """Jupyter's Stop signals the kernel's whole process group. Instances, Redis and clients go on."""
    await kernel.run(START)
    children = kernel.process.children(recursive=True)
    assert len(children) >= 4
    waiting = asyncio.Event()
    cell = asyncio.create_task(kernel.run("print('waiting', flush=True)\nawait asyncio.sleep(60)", printed=waiting))
    async with asyncio.timeout(5):
        await waiting.wait()
    start = time.monotonic()
    await kernel.interrupt()
    said = await cell
    assert time.monotonic() - start < 5
    assert "CancelledError" in said or "KeyboardInterrupt" in said
    assert await kernel.run("(await alice.send('still here')).seq") == "1"
    assert "running" in await kernel.run("lab")
    assert all(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert await kernel.run("await lab.drain(0), await lab.stop()") == "(0, None)"


@pytest.mark.parametrize("how", ["kill -9", "kill -9 of the group", "exit()", "an exception, then exit"])
async def test_nothing_outlives_the_kernel(kernel: Kernel, how: str, tmp_path: Path) -> None:
    """However the kernel ends, three seconds later no process of its lab is there, and no folder."""
    await kernel.run(START)
    family = [kernel.process, *kernel.process.children(recursive=True)]
    assert list(_folders(tmp_path)), "the lab keeps its files here"
    if how == "kill -9":
        os.kill(kernel.process.pid, signal.SIGKILL)
    elif how == "kill -9 of the group":
        os.killpg(os.getpgid(kernel.process.pid), signal.SIGKILL)
    elif how == "exit()":
        kernel._client.shutdown()
    else:
        assert "ZeroDivisionError" in await kernel.run("1 / 0")
        kernel._client.shutdown()
    end = time.monotonic() + GONE_S + (2 if "exit" in how else 0)  # an orderly exit of the kernel takes its time
    while any(map(_is_alive, family)) or _folders(tmp_path):
        assert time.monotonic() < end, [one for one in family if _is_alive(one)]
        await asyncio.sleep(0.02)  # another process's end offers nothing to wait on


def _folders(parent: Path) -> list[Path]:
    return list(parent.glob("breakwire-*"))


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
