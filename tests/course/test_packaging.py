"""The ways to install say the same thing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s\[<>=!;]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def test_the_lock_has_every_dependency() -> None:
    """What pyproject names is pinned in the lock, with hashes and without an address."""
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", LOCK, re.MULTILINE))
    wanted = _names(PYPROJECT["project"]["dependencies"]) | _names(PYPROJECT["dependency-groups"]["dev"])
    assert wanted - pinned == set()
    assert "://" not in LOCK
    assert LOCK.count("--hash=sha256:") > len(pinned)


def test_conda_installs_the_same_lock() -> None:
    """The conda environment has the same Python and takes its packages from the same lock.

    Conda itself is not tried here: it does not come from the package index that the tests may use.
    """
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _pip, from_pip = environment["dependencies"]
    assert python == "python" + PYPROJECT["project"]["requires-python"]
    assert from_pip["pip"] == ["-r requirements.lock", "--no-deps -e ."]
    assert environment["name"] == PYPROJECT["project"]["name"]


@pytest.mark.parametrize(
    "command", ["lab", "serve", "token", "check", "grade", "release", "bench", "doctor", "dead-letters"]
)
def test_every_command_has_help(command: str) -> None:
    """``--help`` explains and exits 0."""
    shown = subprocess.run(
        [sys.executable, "-m", "course", command, "--help"], capture_output=True, text=True, timeout=30
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "No such command"),
        (["serve", "--instances", "0"], "--instances"),
        (["token", "no such/user"], "a user id has 1 to 64 characters"),
        (["bench", "--only", "nobody"], "there is no system 'nobody'"),
        (["serve", "--port", "0", "--redis-url", "redis://127.0.0.1:1/0"], "no Redis answers at"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: list[str], says: str) -> None:
    """No traceback for what a person did."""
    shown = subprocess.run([sys.executable, "-m", "course", *arguments], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 2
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr


def test_doctor_finds_everything_here() -> None:
    """Where the tests run, nothing that is needed is missing."""
    shown = subprocess.run([sys.executable, "-m", "course", "doctor"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stdout
    assert "requirements.lock" in shown.stdout
