"""Starts the guard of a temporary folder or program: see ``guard.py``."""

import os
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

    def __init__(
        self,
        prefix: str,
        command: list[str] | None = None,
        *,
        run_as: tuple[int, int] | None = None,
        stop_signal: str = "",
        log: Path | None = None,
    ) -> None:
        """``run_as`` is a (uid, gid) for the program; ``stop_signal`` as in ``guard.py``; ``log`` gets its output."""
        self.path = Path(tempfile.gettempdir(), f"{prefix}{secrets.token_hex(8)}")
        arguments = [argument.replace("{folder}", str(self.path)) for argument in command or []]
        user = f"{run_as[0]}:{run_as[1]}" if run_as is not None else ""
        with open(log or os.devnull, "ab") as output:  # noqa: PTH123 - the null device is no Path
            self._guard = subprocess.Popen(  # noqa: S603 - our own guard
                [sys.executable, "-I", "-S", str(GUARD), str(self.path), user, stop_signal, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,  # Stop in Jupyter and Ctrl-C go to our group: Redis has to outlive the drain
            )
        # Not before the guard is there: killed in between, we would leave a folder that nobody looks after.
        self.path.mkdir(mode=0o700, exist_ok=True)  # the guard may have been faster

    @property
    def is_guarded(self) -> bool:
        """Whether the guard, and so its program, still runs."""
        return self._guard.poll() is None

    def wait(self, timeout_s: float) -> int:
        """The program's exit code, once it has ended by itself. Raises ``subprocess.TimeoutExpired``."""
        return self._guard.wait(timeout_s)

    def remove(self) -> None:
        """Ends the program, removes the folder, and returns when both is done. Idempotent."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        shutil.rmtree(self.path, ignore_errors=True)  # only there if somebody killed the guard
