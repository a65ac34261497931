"""The process that others are forked from: ``python -m course.workbench.fork_server MODULE``, for one owner.

It imports the module once and then waits. Each message on its standard input, a Unix socket, asks for a child
and brings three open files: the child's link to the owner (its standard input and output), its log (its standard
error), and where to write its news: one line with its process id, and one with its exit code once it has ended.
The child runs the module's ``main``. An import costs 0.6 s of CPU, a fork some milliseconds.

When the socket closes, the owner is gone or needs no more children. They decide for themselves what that means for
them; this process ends after the last of them. When it is killed, Linux kills them, too.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from importlib import import_module
from typing import NamedTuple, NoReturn

from course.workbench.guard import die_with_parent


class Files(NamedTuple):
    """Open files, by number."""

    link: int
    log: int
    news: int


class Children:
    """Those that run, by the file that says when one has ended (a ``pidfd``)."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[int, int]] = {}

    def add(self, pid: int, news: int) -> None:
        """Says who it is."""
        self.running[os.pidfd_open(pid)] = pid, news
        _write(news, pid)

    def bury(self, pidfd: int) -> None:
        """Says how it has ended."""
        pid, news = self.running.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        _write(news, os.waitstatus_to_exitcode(status))
        os.close(news)
        os.close(pidfd)

    def forget(self) -> None:
        """In a child: what it has inherited of the others is not its own."""
        for pidfd, (_, news) in self.running.items():
            os.close(news)
            os.close(pidfd)


def main() -> int:
    """Returns an exit code, in this process and in each child."""
    module = sys.argv[1]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C in the terminal is the owner's business
    gc.disable()  # a fifth of the import's time
    with contextlib.suppress(Exception):  # each child meets it again, and tells it in its own log
        import_module(module)
    gc.freeze()  # nothing that is here now is ever looked at again, and so it stays shared
    files = fork_until_owner_is_gone(socket.socket(fileno=0))
    if files is None:
        return 0
    become(files)
    return int(import_module(module).main())


def fork_until_owner_is_gone(owner: socket.socket) -> Files | None:
    """Returns in each child, with its files; in this process at the end, with None."""
    children = Children()
    asks = True
    while asks or children.running:
        orders = [owner.fileno()] if asks else []
        ready, _, _ = select.select([*orders, *children.running], [], [])
        for pidfd in children.running.keys() & ready:
            children.bury(pidfd)
        if owner.fileno() not in ready:
            continue
        asked, numbers, *_ = socket.recv_fds(owner, 1, len(Files._fields))
        if not asked:
            asks = False
            continue
        files = Files(*numbers)
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            die_with_parent("SIGKILL")()
            if os.getppid() != parent:
                os._exit(1)  # it was killed a moment ago
            children.forget()
            owner.detach()
            return files
        children.add(pid, files.news)
        os.close(files.link)
        os.close(files.log)
    return None


def become(files: Files) -> None:
    """Turns a fresh child into a program that was started with these files."""
    for standard, own in enumerate((files.link, files.link, files.log)):
        os.dup2(own, standard)
    for own in files:
        os.close(own)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.enable()


def _write(news: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner may be gone, or not want to know
        os.write(news, b"%d\n" % number)


def end(code: int) -> NoReturn:
    """Ends this process at once: taking all that was imported apart takes as long as a third of the import."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
