"""Where a browser finds an instance: at its own port, or, where only Jupyter's is open, through Jupyter.

On a JupyterHub, Binder for example, the notebook runs on another machine, and 127.0.0.1 is the wrong one for a
browser. There jupyter-server-proxy serves each port under ``<prefix>proxy/<port>/``.
"""

import os
from urllib.parse import urlsplit

HUB_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
"""What a JupyterHub sets: the path of this user's Jupyter, ``/user/alice/`` for example."""


def is_on_a_hub() -> bool:
    """Whether this runs under a JupyterHub."""
    return HUB_PREFIX in os.environ


def for_browser(url: str, *, through_jupyter: bool | None = None) -> str:
    """The address of something on this machine as a page in Jupyter has to name it.

    ``through_jupyter``: None, as usual, means "where there is a hub". Without a hub the path begins at ``/``.
    """
    if not (is_on_a_hub() if through_jupyter is None else through_jupyter):
        return url
    parts = urlsplit(url)
    prefix = os.environ.get(HUB_PREFIX, "/")
    query = f"?{parts.query}" if parts.query else ""
    return f"{prefix.rstrip('/')}/proxy/{parts.port}{parts.path}{query}"
