"""Runs a program and takes it down when its owner is gone, however the owner ended.

``python -I -S guard.py FOLDER PROGRAM [ARGUMENT …]``: standard library only, so that it starts in milliseconds.
The owner holds the other end of this process's standard input. When that closes, the program is stopped
and FOLDER is removed. On Linux the kernel also stops the program when this guard itself is killed.
"""

import ctypes
import shutil
import signal
import subprocess
import sys
import threading

STOP_DEADLINE_S = 1.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends. Elsewhere the closed pipe has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Returns the program's exit code."""
    folder, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C in the terminal is the owner's business
    child = subprocess.Popen(  # noqa: S603 - what the owner asked for
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    ended = threading.Event()

    def stop_when_owner_is_gone() -> None:
        sys.stdin.buffer.read()
        ended.set()
        child.terminate()

    threading.Thread(target=stop_when_owner_is_gone, daemon=True).start()
    try:
        while not ended.wait(0.05) and child.poll() is None:
            pass
        child.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
