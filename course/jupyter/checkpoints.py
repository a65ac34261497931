"""Keeps JupyterLab's checkpoints together, instead of in a folder beside every notebook that was opened."""

from pathlib import Path

from jupyter_server.services.contents.filecheckpoints import AsyncFileCheckpoints
from traitlets import Unicode


class ProjectCheckpoints(AsyncFileCheckpoints):
    """One checkpoint a file, in a copy of the project's tree of folders."""

    folder = Unicode(help="Where the copy of the tree begins.").tag(config=True)

    def checkpoint_path(self, checkpoint_id: str, path: str) -> str:
        """The file that holds a checkpoint; its folder is made. ``path`` is the notebook's, from the root."""
        original = Path(self.folder, path.strip("/"))
        original.parent.mkdir(parents=True, exist_ok=True)
        return str(original.with_name(f"{original.stem}-{checkpoint_id}{original.suffix}"))
