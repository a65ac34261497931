"""Checks the import rule of ``pyproject.toml``: import-linter has a command and no ``python -m``."""

import sys

from importlinter.cli import lint_imports

if __name__ == "__main__":
    sys.exit(lint_imports())
