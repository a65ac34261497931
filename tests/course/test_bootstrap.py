"""The way from a checkout to a running project."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from course import bootstrap

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with an empty lock, that bootstrap works on."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "requirements.lock").write_text("one==1.0 \\\n    --hash=sha256:00\n")
    for name, path in (("ROOT", tmp_path), ("VENV", tmp_path / ".venv"), ("LOCK", tmp_path / "requirements.lock")):
        monkeypatch.setattr(bootstrap, name, path)
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no uv
    return tmp_path


def installed(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs the installation with a pip that does nothing; returns what was called."""
    called: list[str] = []

    def find_pip() -> list[str]:
        called.append("pip")
        return ["pip"]

    monkeypatch.setattr(bootstrap, "find_pip", find_pip)
    monkeypatch.setattr(bootstrap, "install_with_pip", lambda pip: called.append("install"))
    bootstrap.ensure_installed()
    return called


def test_the_first_start_installs_and_the_second_does_not(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp makes the second start instant; a changed lock makes it install again."""
    assert installed(project, monkeypatch) == ["pip", "install"]
    assert installed(project, monkeypatch) == []
    (project / "requirements.lock").write_text("two==2.0 \\\n    --hash=sha256:00\n")
    assert installed(project, monkeypatch) == ["pip", "install"]


def test_an_interrupted_installation_is_done_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was interrupted has no stamp; an interpreter that does not run is made anew."""
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").write_text("#!/no/such/interpreter\n")
    assert installed(project, monkeypatch) == ["pip", "install"]
    assert bootstrap.venv_works()


def test_a_full_disk_is_said_before_anything_is_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with what is free and what is needed."""
    usage = shutil.disk_usage(project)._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(bootstrap.BootstrapError, match=r"10 MB free, 1500 MB needed"):
        installed(project, monkeypatch)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("WARNING: Retrying after NewConnectionError('…')", "can not be reached"),
        ("error: error sending request for url", "can not be reached"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "not the one in requirements.lock"),
        ("\nERROR: something new\n\n", "The installation failed: ERROR: something new"),
        ("", "no reason given"),
    ],
)
def test_an_installers_failure_is_one_line(output: str, says: str) -> None:
    """Whatever an installer prints, people get what it means."""
    explained = bootstrap.explain(output)
    assert says in explained
    assert "\n" not in explained


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit 2; the file parses on old versions as far as that."""
    monkeypatch.setattr(sys, "version_info", (3, 8, 18))
    assert bootstrap.main(["lab"]) == 2
    assert "needs Python 3.11 or newer" in capsys.readouterr().err
    compile((ROOT / "course" / "bootstrap.py").read_text(), "bootstrap.py", "exec", dont_inherit=True, flags=0)


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """No command, or an unknown one: exit 2."""
    assert bootstrap.main([]) == bootstrap.main(["dance"]) == 2
    assert "usage:" in capsys.readouterr().err


def test_misleading_settings_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would send an installation elsewhere is dropped; an index or a proxy stays."""
    for name in ("PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    environment = bootstrap.clean_environment()
    assert "somewhere" not in environment.values()
    assert environment["PIP_INDEX_URL"] == "kept"


def test_without_ensurepip_another_pip_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without ensurepip: the environment is made all the same, and filled from outside."""
    bootstrap.make_venv(None)
    assert bootstrap.venv_works()
    tried: list[list[str]] = []

    def works(command: list[str]) -> bool:
        tried.append(command)
        return "--python" in command

    monkeypatch.setattr(bootstrap, "works", works)
    assert bootstrap.find_pip() == [sys.executable, "-m", "pip", "--python", str(bootstrap.venv_python())]
    assert any("ensurepip" in command for command in tried)
    monkeypatch.setattr(bootstrap, "works", lambda _command: False)
    with pytest.raises(bootstrap.BootstrapError, match="apt install python3-venv"):
        bootstrap.find_pip()


def test_two_at_once_take_turns(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one installs, another waits, and gives up after its deadline with a line."""
    monkeypatch.setattr(bootstrap, "LOCK_DEADLINE_S", 0)
    refused = pytest.raises(bootstrap.BootstrapError, match="Another installation")
    with bootstrap.only_one(), refused, bootstrap.only_one():
        pass
    with bootstrap.only_one():
        assert (project / ".breakwire" / "install.lock").exists()


def test_a_real_environment_is_made(project: Path) -> None:
    """An installer that fails for real is told in a line: this lock names a package that is not there."""
    builder: Any = venv.EnvBuilder(with_pip=False)
    builder.create(project / ".venv")
    with pytest.raises(bootstrap.BootstrapError, match=r"\S"):
        bootstrap.run([str(bootstrap.venv_python()), "-c", "import sys; sys.exit('No space left on device')"])
    shown = subprocess.run([str(bootstrap.venv_python()), "--version"], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0


def test_where_uv_fails_pip_is_tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A uv that finds no index is no reason to give up: pip may know a mirror or a certificate that uv does not."""
    called: list[str] = []

    def fail(_uv: str) -> None:
        raise bootstrap.BootstrapError("The package index can not be reached.")

    monkeypatch.setattr(bootstrap, "install_with_uv", fail)
    monkeypatch.setattr(bootstrap, "find_pip", lambda: ["pip"])
    monkeypatch.setattr(bootstrap, "install_with_pip", called.extend)
    bootstrap.install_packages("uv")
    assert called == ["pip"]
    assert "Trying pip" in capsys.readouterr().err
