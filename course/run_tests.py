"""Every check of the project, one after the other: what ``make test`` runs once everything is installed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT_DEADLINE_S = 600
console = Console(stderr=True)


def main(arguments: list[str]) -> int:
    """Runs all checks, also after one has failed; returns 1 if one did. Extra arguments go to pytest."""
    if not (ROOT / "tests").is_dir():
        console.print("This is a student's copy: it has no tests. `course check` grades your exercises.")
        return 0
    environment = dict(os.environ)
    if (browser := ensure_browser()) is not None:
        environment["BREAKWIRE_BROWSER"] = browser
    results = []
    for name, command in steps(arguments):
        console.rule(name)
        start = time.monotonic()
        code = subprocess.call([sys.executable, "-m", *command], cwd=ROOT, env=environment)  # noqa: S603 - our own
        results.append((name, code, time.monotonic() - start))
    show(results)
    return 1 if any(code for _, code, _ in results) else 0


def steps(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Name and ``python -m`` arguments of each check. The tests come last: their closing line stays in sight."""
    checks = [
        ("ruff", ["ruff", "check", "."]),
        ("ruff format", ["ruff", "format", "--check", "."]),
        ("mypy", ["mypy"]),
        ("import rule", ["course.import_rule"]),
    ]
    # Most tests wait for something. In the order of their files, the long ones are not left for the end.
    at_once = [] if arguments else ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
    notebooks_at_once = [] if arguments else ["-n", "2", "--dist", "loadfile"]  # they measure
    notebooks = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("*.ipynb"))
    if notebooks and not arguments:
        nbval = ["--nbval", "--nbval-sanitize-with", "notebooks/nbval_sanitize.cfg", "--nbval-cell-timeout", "120"]
        checks.append(("notebooks", ["pytest", "--timeout", "300", *notebooks_at_once, *nbval, *notebooks]))
    # Real processes on a shared machine: what fails gets two more tries, and the last line says how many needed it.
    second_try = [] if arguments else ["--reruns", "2"]
    checks.append(("tests", ["pytest", *at_once, *second_try, *arguments]))
    return checks


def show(results: list[tuple[str, int, float]]) -> None:
    """A table of what ran, how it ended, and how long it took."""
    table = Table(show_header=False, box=None)
    for name, code, seconds in results:
        table.add_row(name, "[green]ok[/]" if code == 0 else "[bold red]FAILED[/]", f"{seconds:.1f} s")
    console.print(table)


def ensure_browser() -> str | None:
    """A Chromium for the tests that need one; where root may, it is installed. None: those tests say so."""
    found = find_browser()
    if found is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        with console.status("Installing chromium for the browser tests …"):
            apt_install("chromium")
        found = find_browser()
    if found is None:
        console.print("No Chromium here: the browser tests are skipped. On Debian: apt install chromium")
    return found


def find_browser() -> str | None:
    """Its path, or None."""
    return os.environ.get("BREAKWIRE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


def apt_install(package: str) -> None:
    """Best effort, within a deadline: the caller looks at what is there afterwards."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
        try:
            subprocess.run(  # noqa: S603
                ["apt-get", *command],  # noqa: S607 - wherever the system has it
                env=environment,
                stdout=subprocess.DEVNULL,
                timeout=APT_DEADLINE_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            console.print(f"apt-get {command[0]}: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
