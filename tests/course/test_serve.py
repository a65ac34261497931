"""``course serve`` and ``course token``: what they print, whom they let in, how they end."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from course.workbench import serve
from course.workbench.cluster import absolute_database_url

ROOT = Path(__file__).resolve().parents[2]
COURSE = [sys.executable, "-m", "course"]
DEADLINE_S = 20.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nobody's ``CHAT_`` settings; temporary files in the test's folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    inherited.pop("REDIS_URL", None)
    (tmp_path / "temporary").mkdir()
    return inherited | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}


@contextmanager
def _serving(folder: Path, environment: dict[str, str], *options: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """`course serve --json` in a process group of its own, and its line. Killed at the end."""
    with subprocess.Popen(
        [*COURSE, "serve", "--port", "0", "--json", *options],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def _ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    said, complained = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said, complained


def _token(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [*COURSE, "token", *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


def _get(url: str, token: str | None = None) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(trust_env=False) as http:
        return http.get(url, headers=headers)


def test_json_is_one_line_and_everything_in_it_is_true(tmp_path: Path, environment: dict[str, str]) -> None:
    """URL, name and process of each instance, ready when the line comes; nothing else on stdout; SIGTERM: 0."""
    with _serving(tmp_path, environment, "--instances", "3") as (process, line):
        assert set(line) == {"instances", "redis_url", "database_url"}
        assert len({one["instance_id"] for one in line["instances"]}) == 3
        for one in line["instances"]:
            assert set(one) == {"url", "instance_id", "pid"}
            assert _get(one["url"] + "/readyz").status_code == 200
            assert psutil.Process(one["pid"]).ppid() == process.pid
        assert line["redis_url"].startswith("redis://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert _ended(process) == (0, "", "")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_token_of_the_other_command_lets_in(tmp_path: Path, environment: dict[str, str]) -> None:
    """`course token` signs for `course serve` without a word said between them; a token of another secret does not."""
    with _serving(tmp_path, environment, "--instances", "1") as (_, line):
        conversations = line["instances"][0]["url"] + "/api/v1/conversations"
        assert _get(conversations, _token(tmp_path, environment, "alice")).status_code == 200
        stranger = environment | {"CHAT_SECRET_KEY": "x" * 40}
        assert _get(conversations, _token(tmp_path, stranger, "alice")).status_code == 401


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_drains_and_exits_0(times: int, tmp_path: Path, environment: dict[str, str]) -> None:
    """Ctrl-C reaches the whole group, as in a terminal. An impatient second one changes nothing."""
    with _serving(tmp_path, environment, "--instances", "2") as (process, line):
        pids = [one["pid"] for one in line["instances"]]
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
        assert _ended(process) == (0, "", "")
        assert not any(map(psutil.pid_exists, pids))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_env_file_counts_and_the_environment_counts_more(tmp_path: Path, environment: dict[str, str]) -> None:
    """``.env`` where the command is given; demo sign-in is on unless it says no."""
    (tmp_path / ".env").write_text("CHAT_DEMO_LOGIN=0\nCHAT_DATABASE_URL=sqlite:///mine.db\n")
    with _serving(tmp_path, environment, "--instances", "1") as (_, line):
        assert line["database_url"] == f"sqlite:///{tmp_path / 'mine.db'}"
        assert _sign_in(line) == 404
    with _serving(tmp_path, environment | {"CHAT_DEMO_LOGIN": "1"}, "--instances", "1") as (_, line):
        assert _sign_in(line) == 200


def _sign_in(line: dict[str, Any]) -> int:
    with httpx2.Client(trust_env=False) as http:
        return http.post(line["instances"][0]["url"] + "/api/v1/auth/token", json={"user_id": "alice"}).status_code


def test_a_bad_setting_is_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    """It names itself; exit code 2; no traceback."""
    bad = environment | {"CHAT_OUTBOX_FRAMES": "many"}
    command = [*COURSE, "serve", "--port", "0", "--instances", "1"]
    done = subprocess.run(command, env=bad, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "CHAT_OUTBOX_FRAMES" in done.stderr
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_address_that_others_can_reach_is_refused_in_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    """In demo mode anybody may be anybody; it says how to insist. Exit code 2."""
    command = [*COURSE, "serve", "--port", "0", "--instances", "1", "--host", "0.0.0.0"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "CHAT_DEMO_LOGIN" in done.stderr
    assert "CHAT_ALLOW_INSECURE_HOST" in done.stderr
    assert list((tmp_path / "temporary").iterdir()) == []


def test_when_all_instances_have_ended_it_ends(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each is said on stderr; the exit code is 1."""
    with _serving(tmp_path, environment, "--instances", "2") as (process, line):
        for one in line["instances"]:
            psutil.Process(one["pid"]).kill()
        code, _, complained = _ended(process)
        assert code == 1
        assert complained.count("has ended with -9") == 2
        assert "all instances have ended" in complained


def test_for_people_it_says_how_to_get_in(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each URL, how to sign in, and ``ready`` as the last word."""
    command = [*COURSE, "serve", "--port", "0", "--instances", "2"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = []
            end = time.monotonic() + DEADLINE_S
            while "ready" not in said and time.monotonic() < end:
                said.append(process.stdout.readline().strip())
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    shown = "\n".join(said)
    urls = re.findall(r"(http://127\.0\.0\.1:\d+)  pid", shown)
    assert len(urls) == 2
    assert f"{urls[0]}/?user=alice" in shown
    assert f"{urls[1]}/?user=bob" in shown
    assert "course token alice" in shown


def test_the_secret_is_one_private_and_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Made once, for its owner's eyes, and long enough for the server; a second command finds the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHAT_SECRET_KEY", raising=False)
    monkeypatch.setattr(serve, "SECRET_FILE", tmp_path / "deep" / "down" / "secret")
    first = serve.local_secret()
    assert len(first) >= 32
    assert serve.local_secret() == first
    assert stat.S_IMODE(serve.SECRET_FILE.stat().st_mode) == 0o600
    assert [path.name for path in serve.SECRET_FILE.parent.iterdir()] == ["secret"]
    (tmp_path / ".env").write_text("CHAT_SECRET_KEY=from-the-env-file\n")
    assert serve.local_secret() == "from-the-env-file"
    monkeypatch.setenv("CHAT_SECRET_KEY", "from-the-environment")
    assert serve.local_secret() == "from-the-environment"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///a.db", "sqlite:///{here}/a.db"),
        ("sqlite:////var/a.db", "sqlite:////var/a.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql://host/name", "postgresql://host/name"),
    ],
)
def test_a_relative_database_is_where_the_command_is_given(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instances run in a folder of their own; what the user wrote means the user's folder."""
    monkeypatch.chdir(tmp_path)
    assert absolute_database_url(given) == meant.format(here=tmp_path)
