"""``course lab``: JupyterLab on the start page, offline, with nothing written outside of the project."""

import os
import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from course.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
START_PAGE = Path("notebooks", "00_start_here.ipynb")
FOREIGN = ("JUPYTER", "JPY_", "JP_LSP", "IPYTHON")
MISLEADING = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"})


def run(*, port: int, browser: bool, extra: tuple[str, ...] = ()) -> NoReturn:
    """Becomes JupyterLab; ``extra`` goes to it as it is. Raises ``UserError``."""
    if find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed in this Python; run `make install`, or `make lab`")
    root = find_root(Path.cwd())
    make_folders(root)
    _become(command(root, port=port, browser=browser, extra=extra), environment(root))


def find_root(start: Path) -> Path:
    """The course we stand in, or else the one this package belongs to. Raises ``UserError``."""
    for folder in (start, *start.parents, PROJECT):
        if (folder / START_PAGE).is_file():
            return folder
    raise UserError(f"{START_PAGE.as_posix()} is missing; run `course lab` in a complete copy of the course")


def command(root: Path, *, port: int, browser: bool, extra: tuple[str, ...] = ()) -> list[str]:
    """The process that JupyterLab runs in. Its fixed settings are in ``course/jupyter/app.py``."""
    look = [] if browser and has_display() else ["--no-browser"]
    return [sys.executable, "-m", "course.jupyter.app", str(root), f"--port={port}", "--port-retries=50", *look, *extra]


def environment(root: Path) -> dict[str, str]:
    """Ours, with Jupyter's folders inside of the course: a user's own Jupyter neither breaks it nor is touched."""
    state = root / ".breakwire" / "jupyter"
    inherited = {
        name: value for name, value in os.environ.items() if name not in MISLEADING and not name.startswith(FOREIGN)
    }
    return inherited | {
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTER_DATA_DIR": str(state / "data"),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "JUPYTER_TOKEN": secrets.token_urlsafe(24),  # not on the command line, where everybody could read it
        "IPYTHONDIR": str(state / "ipython"),
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "PYTHONNOUSERSITE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the debugger prints a warning at each kernel's start
    }


def make_folders(root: Path) -> None:
    """Where JupyterLab writes; the token's folder is for us alone. Raises ``UserError``."""
    state = root / ".breakwire" / "jupyter"
    try:
        for name in ("config", "data", "ipython", "matplotlib", "cache", "checkpoints"):
            (state / name).mkdir(parents=True, exist_ok=True)
        (state / "runtime").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"Can not write to {state} ({error.strerror}); copy the course to a folder of yours") from error


def has_display() -> bool:
    """Whether a browser would have somewhere to show. Without, Python may start a text browser in this terminal."""
    return sys.platform in {"win32", "darwin"} or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def _become(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """Turns this process into another one, so that our end is its end. Windows can only start it and wait."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(arguments[0], arguments, environment)  # noqa: S606 - our own program
    with subprocess.Popen(arguments, env=environment) as process:  # noqa: S603 - our own program
        while True:
            try:
                sys.exit(process.wait())
            except KeyboardInterrupt:
                continue  # the same Ctrl-C has reached JupyterLab, and it is stopping
