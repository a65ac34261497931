"""JupyterLab's server process: ``python -m course.jupyter.app ROOT [JUPYTER ARGUMENT …]``.

``course lab`` becomes this process, so nothing stands between a signal and JupyterLab: whatever ends the one
ends the other. Its kernels look for their parent every second, and end when it is gone.
"""

import contextlib
import logging
import signal
import sys
from pathlib import Path

import nbformat
import zmq
from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]
from traitlets.config import Config

from course.jupyter.checkpoints import ProjectCheckpoints

SETTINGS = Path(__file__).with_name("settings")
START_PAGE = "notebooks/00_start_here.ipynb"
KERNEL_STOP_S = 2
"""How long a kernel may take to end by itself, in seconds; then it is killed."""


def main() -> None:
    """Runs JupyterLab until Ctrl-C or SIGTERM."""
    root = Path(sys.argv[1])
    extensions = ("jupyterlab", "jupyter_server_terminals", "jupyter_server_proxy")
    LabApp.serverapp_config = {"jpserver_extensions": dict.fromkeys(extensions, True)}
    server = LabApp.initialize_server(argv=sys.argv[2:], config=configuration(root))
    stop_on_signals(server)
    trust_notebooks(server, root)
    server.io_loop.add_callback(announce, server)
    server.start()


def stop_on_signals(server: ServerApp) -> None:
    """Stops at once and shuts the kernels down. Jupyter's own Ctrl-C asks first, and needs a terminal for that."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), lambda *_: server.stop(from_signal=True))


def trust_notebooks(server: ServerApp, root: Path) -> None:
    """Signs the course's own notebooks: JupyterLab shows no stored drawing of one that it does not trust."""
    for path in (root / START_PAGE).parent.glob("*.ipynb"):
        with contextlib.suppress(OSError, ValueError, nbformat.ValidationError):  # JupyterLab says what is wrong
            document = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
            server.contents_manager.notary.sign(document)  # type: ignore[no-untyped-call]


def configuration(root: Path) -> Config:
    """Offline, on this machine only, and everything it writes inside of ``root/.breakwire``."""
    state = root / ".breakwire" / "jupyter"
    return Config(
        {
            "ServerApp": {
                "ip": "127.0.0.1",
                "root_dir": str(root),
                "allow_root": True,  # it listens on loopback with a token; in a container everybody is root
                "log_level": logging.WARNING,
            },
            "LabApp": {
                "default_url": f"/lab/tree/{START_PAGE}",
                "app_settings_dir": str(SETTINGS),
                "user_settings_dir": str(state / "user-settings"),
                "workspaces_dir": str(state / "workspaces"),
                "extension_manager": "readonly",  # the other one asks the package index
                "lock_all_plugins": True,  # switching one off would write into the environment
                "news_url": None,
                "log_level": logging.WARNING,
            },
            "ContentsManager": {"checkpoints_class": ProjectCheckpoints},
            "ProjectCheckpoints": {"folder": str(state / "checkpoints")},
            "KernelManager": {
                "shutdown_wait_time": KERNEL_STOP_S,
                "transport_encryption": "auto" if zmq.has("curve") else "disabled",  # without, each kernel warns
            },
        }
    )


def announce(server: ServerApp) -> None:
    """Says where JupyterLab is, once it listens."""
    address = f"http://127.0.0.1:{server.port}/lab/tree/{START_PAGE}?token={server.identity_provider.token}"
    sys.stdout.write(f"JupyterLab is at {address}\nCtrl-C stops it.\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
