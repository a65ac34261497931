"""Makes ``.venv`` and runs the project in it: ``python3 course/bootstrap.py lab|test|install``.

Standard library only, and readable by old Pythons as far as the line that tells them so.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, TextIO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
OLDEST = (3, 11)
NEEDED_BYTES = 1500 * 1024 * 1024
LOCK_DEADLINE_S = 900

# Settings that would send an installation somewhere else. An index, a proxy or a certificate stays.
MISLEADING = {
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "CONDA_PREFIX",
    "UV_PROJECT_ENVIRONMENT", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV",
    "PIP_DRY_RUN", "PIP_REQUIREMENT", "PIP_CONSTRAINT",
}  # fmt: skip


class BootstrapError(Exception):
    """Something the user can put right; the text says how."""


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if sys.version_info < OLDEST:
        say("Breakwire needs Python %d.%d or newer; this is %s. Run it with a newer one: "
            "make lab PYTHON=python3.12" % (*OLDEST, platform.python_version()))  # fmt: skip
        return 2
    commands = {"install": install, "lab": lab, "test": test}
    if not arguments or arguments[0] not in commands:
        say("usage: python3 course/bootstrap.py lab|test|install")
        return 2
    try:
        ensure_installed()
        return commands[arguments[0]](arguments[1:])
    except BootstrapError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def install(_arguments: list[str]) -> int:
    """Everything is there already when this is called."""
    say("Ready: make lab opens the course, make test runs every test.")
    return 0


def lab(arguments: list[str]) -> int:
    """Becomes ``course lab``, so that a signal for us is a signal for it."""
    command = [str(venv_program("course")), "lab", *arguments]
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, clean_environment())  # noqa: S606 - our own program
    return subprocess.call(command, env=clean_environment())


def test(arguments: list[str]) -> int:
    """Runs every check there is; extra arguments go to pytest."""
    command = [str(venv_python()), "-m", "course.run_tests", *arguments]
    return subprocess.call(command, cwd=str(ROOT), env=clean_environment())


# -- the environment -----------------------------------------------------------------------------------------


def ensure_installed() -> None:
    """Makes or mends ``.venv`` unless its stamp says that it is in step with the lock."""
    if is_current():
        return
    with only_one():
        if is_current():  # somebody else has just done it
            return
        require_space()
        start = time.monotonic()
        uv = shutil.which("uv")
        if not venv_works():
            shutil.rmtree(str(VENV), ignore_errors=True)
            say("Making .venv with Python %s …" % platform.python_version())
            make_venv(uv)
        install_packages(uv)
        stamp_file().write_text(stamp())
        say("Installed in %.0f s." % (time.monotonic() - start))


def install_packages(uv: str | None) -> None:
    """With uv if there is one. Where uv fails, pip may not: they look for mirrors and certificates elsewhere."""
    if uv:
        try:
            install_with_uv(uv)
        except BootstrapError as error:
            say("uv: %s Trying pip." % error)
        else:
            return
    install_with_pip(find_pip())


def is_current() -> bool:
    """Whether ``.venv`` was completed for this lock, this Python and this place."""
    try:
        return stamp_file().read_text() == stamp() and venv_python().exists()
    except OSError:
        return False


def stamp() -> str:
    """Changes whenever the installation has to."""
    digest = hashlib.sha256()
    for part in (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()):
        digest.update(part)
    return "%s %s" % (digest.hexdigest(), ".".join(map(str, sys.version_info[:2])))


def stamp_file() -> Path:
    """Written last: a half-made environment has none."""
    return VENV / "breakwire-stamp"


def venv_python() -> Path:
    """The environment's interpreter."""
    return venv_program("python")


def venv_program(name: str) -> Path:
    """A program of the environment."""
    return VENV / "Scripts" / (name + ".exe") if os.name == "nt" else VENV / "bin" / name


def venv_works() -> bool:
    """Whether the interpreter is there, runs, and is of our version: its base may have gone or moved."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        shown = subprocess.run([str(venv_python()), "-c", show], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return False
    return shown.returncode == 0 and shown.stdout.strip() == "%d.%d" % sys.version_info[:2]


def make_venv(uv: str | None) -> None:
    """An empty environment. Always one: many systems refuse installations outside of one (PEP 668)."""
    if uv:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
        return
    command = [sys.executable, "-m", "venv", "--without-pip", str(VENV)]
    made = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    if made.returncode:
        raise BootstrapError(
            "This Python can not make environments (%s). Install uv, or on Debian: apt install python3-venv"
            % last_line(made.stdout + made.stderr)
        )


def find_pip() -> list[str]:
    """How to call a pip for the environment: its own, this Python's, or the wheel that Debian keeps."""
    own = [str(venv_python()), "-m", "pip"]
    if works([*own, "--version"]):
        return own
    if works([str(venv_python()), "-m", "ensurepip", "--default-pip"]):
        return own
    ours = [sys.executable, "-m", "pip", "--python", str(venv_python())]
    if works([*ours, "--version"]):
        return ours
    for wheel in sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"), reverse=True):
        packed = [str(venv_python()), str(wheel / "pip")]
        if works([*packed, "--version"]):
            return packed
    raise BootstrapError(
        "This Python has neither pip nor ensurepip. Install uv, or on Debian: apt install python3-venv"
    )


def install_with_uv(uv: str) -> None:
    """uv shows its own progress. Bytecode is compiled now, so that no start has to."""
    pip = [uv, "pip"]
    python = ["--python", str(venv_python())]
    run([*pip, "sync", *python, "--compile-bytecode", "--require-hashes", str(LOCK)], show=True)
    run([*pip, "install", "--quiet", *python, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])


def install_with_pip(pip: list[str]) -> None:
    """The lock is complete, so pip resolves nothing."""
    total = len(re.findall(r"^[a-z0-9].*==", LOCK.read_text(), re.MULTILINE))
    common = ["install", "--no-deps", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    run([*pip, *common, "--require-hashes", "-r", str(LOCK)], total=total)
    run([*pip, *common, "--quiet", "--no-build-isolation", "-e", str(ROOT)])


def run(command: list[str], total: int = 0, show: bool = False) -> None:
    """Runs an installer. With ``total``, counts packages; with ``show``, lets it speak. Raises in plain words."""
    output = []
    with subprocess.Popen(
        command,
        env=clean_environment(),
        stdout=None if show and sys.stderr.isatty() else subprocess.PIPE,
        stderr=None if show and sys.stderr.isatty() else subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        done = 0
        for line in process.stdout or ():
            output.append(line)
            if total and line.startswith(("Collecting", "Requirement already", "Ignoring")):
                done += 1
                progress(min(done, total), total)
    if total:
        progress(total, total, last=True)
    if process.returncode:
        raise BootstrapError(explain("".join(output)))


def progress(done: int, total: int, last: bool = False) -> None:
    """One line that counts on a terminal; every 40th package elsewhere."""
    if sys.stderr.isatty():
        filled = 30 * done // total
        bar = "█" * filled + "░" * (30 - filled)
        sys.stderr.write("\r  %s %3d of %d packages%s" % (bar, done, total, "\n" if last else ""))
        sys.stderr.flush()
    elif not last and done % 40 == 0:
        say("  %d of %d packages" % (done, total))


def explain(output: str) -> str:
    """What an installer's failure means for the user, in one line."""
    if "No space left" in output or "os error 28" in output:
        return "The disk is full. Free %d MB and start again." % (NEEDED_BYTES // 2**20)
    if re.search(
        r"NewConnectionError|Network is unreachable|resolution|dns error|error sending request|timed out", output
    ):
        return "The package index can not be reached. The first start needs a network; later ones don't."
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in output or "Hash mismatch" in output:
        return "A downloaded package is not the one in requirements.lock. Try again, or ask who runs your mirror."
    return "The installation failed: %s" % last_line(output)


def require_space() -> None:
    """Better before than in the middle."""
    free = shutil.disk_usage(str(ROOT)).free
    if free < NEEDED_BYTES:
        raise BootstrapError(
            "The disk is nearly full: %d MB free, %d MB needed. Free some and start again."
            % (free // 2**20, NEEDED_BYTES // 2**20)
        )


@contextmanager
def only_one() -> Iterator[None]:
    """Two installers at once would break each other's work; the second one waits."""
    path = ROOT / ".breakwire" / "install.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as held:
        end = time.monotonic() + LOCK_DEADLINE_S
        told = False
        while not try_lock(held):
            if not told:
                say("Another installation is running; waiting for it …")
                told = True
            if time.monotonic() > end:
                raise BootstrapError("Another installation has not ended in %d minutes. Stop it, then start again."
                                     % (LOCK_DEADLINE_S // 60))  # fmt: skip
            time.sleep(0.2)
        yield  # closing the file gives the lock back, also when we are killed


def try_lock(held: TextIO) -> bool:
    """Whether the lock is ours now."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl  # noqa: PLC0415 - everywhere else

            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# -- small things ----------------------------------------------------------------------------------------------


def clean_environment() -> dict[str, str]:
    """Ours, without what would lead an installer or an interpreter astray."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING}


def works(command: list[str]) -> bool:
    """Whether a command ends well."""
    try:
        return subprocess.run(command, capture_output=True, env=clean_environment(), timeout=120).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def last_line(output: str) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def say(line: str) -> None:
    """To people: on stderr, at once."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
