"""Starts the guard of a temporary folder or program: see ``guard.py``."""

import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")


class GuardedFolder:
    """A temporary folder that goes when ``remove`` is called or when this process ends, however it ends.

    With a ``command`` the guard runs that program, too, and ends it before it removes the folder; ``{folder}``
    in an argument stands for the folder.
    """

    def __init__(self, prefix: str, command: list[str] | None = None) -> None:
        self.path = Path(tempfile.gettempdir(), f"{prefix}{secrets.token_hex(8)}")
        arguments = [argument.replace("{folder}", str(self.path)) for argument in command or []]
        self._guard = subprocess.Popen(  # noqa: S603 - our own guard
            [sys.executable, "-I", "-S", str(GUARD), str(self.path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Stop in Jupyter and Ctrl-C go to our group: Redis has to outlive the drain, not to end
        )
        # Not before the guard is there: killed in between, we would leave a folder that nobody looks after.
        self.path.mkdir(mode=0o700, exist_ok=True)  # the guard may have been faster

    @property
    def is_guarded(self) -> bool:
        """Whether the guard, and so its program, still runs."""
        return self._guard.poll() is None

    def remove(self) -> None:
        """Ends the program, removes the folder, and returns when both is done. Idempotent."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        shutil.rmtree(self.path, ignore_errors=True)  # only there if somebody killed the guard
