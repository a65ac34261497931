"""Looks after the process that runs one notebook: ``python -m course.grader.sandbox``.

The order comes as one JSON line on standard input (see ``Order``). The pipe stays open: when it closes, whatever
the reason, everything that was started ends. Exit codes say why it ended: see ``names.py``.
Standard library only, but for counting processes.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import psutil

from course.grader import namespaces
from course.grader.names import Ended

WATCH_EVERY_S = 0.25
NEARLY = 0.95
MAX_PROCESSES = 200
MAX_FILE_BYTES = 64 * 2**20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Order(NamedTuple):
    """What to run.

    ``files`` are written into the working folder; ``{folder}`` in the command and its environment stands for it.
    """

    command: list[str]
    environment: dict[str, str]
    files: dict[str, str]
    results: int
    """A file descriptor that the command inherits."""
    memory_bytes: int
    visible: list[str]
    hidden: list[str]
    isolated: bool


def main() -> int:
    """Runs one order to its end."""
    line = bytearray()
    while not line.endswith(b"\n") and (chunk := os.read(0, 1 << 16)):
        line += chunk
    order = Order(**json.loads(line))
    return run(order) if order.command else probe(order)


def run(order: Order) -> int:
    """Starts the command, watches it, and leaves nothing behind."""
    with contextlib.ExitStack() as stack:
        if order.isolated:
            namespaces.leave_the_machine()
        else:
            folder = tempfile.mkdtemp(prefix="breakwire-grade-")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            _adopt_orphans()
        child = os.fork()
        if child == 0:
            _become(order, "/tmp/submission" if order.isolated else folder)  # noqa: S108 - a tmp of its own
        os.close(order.results)
        try:
            return _watch(child, order.memory_bytes)
        finally:
            _end_all(child)


def probe(order: Order) -> int:
    """Whether namespaces work here: 0 or ``NOT_POSSIBLE``."""
    try:
        namespaces.leave_the_machine()
    except OSError as error:
        sys.stdout.write(str(error))
        return Ended.NOT_POSSIBLE
    child = os.fork()
    if child == 0:
        try:
            namespaces.close_the_door(order.visible, order.hidden)
        except OSError as error:
            os.write(1, str(error).encode())
            os._exit(Ended.NOT_POSSIBLE)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(order: Order, folder: str) -> NoReturn:
    """The child turns into the command. Never returns."""
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if order.isolated:
            namespaces.close_the_door(order.visible, order.hidden)
        for place in (folder, f"{folder}/home", f"{folder}/tmp"):  # noqa: S108
            os.makedirs(place, exist_ok=True)  # noqa: PTH103
        os.chdir(folder)
        for name, text in order.files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        _limit(order.memory_bytes)
        os.set_inheritable(order.results, True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        environment = {name: value.replace("{folder}", folder) for name, value in order.environment.items()}
        command = [argument.replace("{folder}", folder) for argument in order.command]
        os.execve(command[0], command, environment)  # noqa: S606 - our own command line
    except BaseException as error:  # noqa: BLE001 - whatever it is: this process must not go on as a copy
        os.write(2, f"{type(error).__name__}: {error}; {order.command[0]}\n".encode())
        os._exit(Ended.NOT_POSSIBLE)


def _limit(memory_bytes: int) -> None:
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, MAX_FILE_BYTES), (resource.RLIMIT_AS, memory_bytes)]
    for which, value in limits:
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on addresses
            _, hard = resource.getrlimit(which)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (value, value))


def _watch(child: int, memory_bytes: int) -> int:
    """Returns when the child has ended, has used too much, or nobody waits for it any more."""
    wake = [0]
    with contextlib.suppress(AttributeError, OSError):  # only Linux tells at once when a child ends
        wake.append(os.pidfd_open(child))
    while True:
        readable, _, _ = select.select(wake, [], [], WATCH_EVERY_S)
        if 0 in readable and not os.read(0, 1024):
            return Ended.OWNER_GONE
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return Ended.FINISHED if status == 0 else min(abs(os.waitstatus_to_exitcode(status)), 255)
        used = [_memory_of(process) for process in _descendants()]
        if sum(real for real, _ in used) > memory_bytes or max((v for _, v in used), default=0) > NEARLY * memory_bytes:
            return Ended.OUT_OF_MEMORY
        if len(used) > MAX_PROCESSES:
            return Ended.TOO_MANY_PROCESSES


def _descendants() -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def _memory_of(process: psutil.Process) -> tuple[int, int]:
    """Bytes in memory, and bytes of addresses: who is at that limit can do nothing any more, not even say so."""
    with contextlib.suppress(psutil.Error):
        about = process.memory_info()
        return int(about.rss), int(about.vms) if sys.platform == "linux" else 0
    return 0, 0


def _adopt_orphans() -> None:
    """Processes whose parent ends become children of this one, so they can be found and ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_all(child: int) -> None:
    """In a process namespace the first process takes all others with it; elsewhere they are looked for."""
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    for _ in range(50):
        left: list[Any] = _descendants()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not left:
            return
        psutil.wait_procs(left, timeout=0.2)


if __name__ == "__main__":
    sys.exit(main())
