"""Looks after a folder, and maybe a program, and cleans up when the owner is gone, however the owner ended.

``python -I -S guard.py FOLDER USER SIGNAL [PROGRAM ARGUMENT …]``: standard library only, so that it starts in
milliseconds. The owner holds the other end of this process's standard input. When that closes, the program
is stopped and FOLDER is removed. On Linux the kernel also stops the program when this guard itself is killed.

USER is a ``uid:gid`` that the program is to run as, or empty. SIGNAL, "SIGQUIT" for example, is what stops the
program in both cases; empty, it is SIGTERM from the guard and SIGKILL from the kernel.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

STOP_DEADLINE_S = 1.0
REMOVE_DEADLINE_S = 3.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Returns the program's exit code; 0 without one."""
    folder, user, stop_signal, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C in the terminal is the owner's business
    owner_is_gone = threading.Event()
    threading.Thread(target=wait_for_owner, args=(owner_is_gone,), daemon=True).start()
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib doubles the start time
        if command:
            return run(command, user, stop_signal, owner_is_gone)
        owner_is_gone.wait()
        return 0
    finally:
        remove(folder)


def wait_for_owner(owner_is_gone: threading.Event) -> None:
    """Reads until the pipe closes. Not through ``sys.stdin``: Python can not end while a thread holds its lock."""
    while os.read(0, 1024):
        pass
    owner_is_gone.set()


def run(command: list[str], user: str, stop_signal: str, owner_is_gone: threading.Event) -> int:
    """Runs the program until it ends or the owner is gone."""
    uid, gid = (int(number) for number in user.split(":")) if user else (None, None)
    child = subprocess.Popen(  # noqa: S603 - what the owner asked for
        command,
        stdin=subprocess.DEVNULL,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        # Python calls it after the change of user, which would undo it.
        preexec_fn=die_with_parent(stop_signal or "SIGKILL") if sys.platform == "linux" else None,
    )
    while not owner_is_gone.wait(0.05) and child.poll() is None:
        pass
    child.send_signal(signal.Signals[stop_signal or "SIGTERM"])
    try:
        child.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    return child.returncode


def remove(folder: str) -> None:
    """Removes the folder, again and again for a while: processes that are just ending may still write to it."""
    end = time.monotonic() + REMOVE_DEADLINE_S
    while os.path.isdir(folder) and time.monotonic() < end:  # noqa: PTH112 - pathlib doubles the start time
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)


def die_with_parent(signal_name: str) -> Callable[[], None]:
    """Asks Linux to stop this process when its parent ends. Elsewhere the closed pipe has to do."""
    number = signal.Signals[signal_name]
    return lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    sys.exit(main())
