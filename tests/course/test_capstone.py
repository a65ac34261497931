"""The capstone: our server keeps every promise, the starter none, and each mistake is seen by its own level."""

import asyncio
import csv
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from course.capstone import judge as judging
from course.capstone import local, starter
from course.capstone.judge import Asked, judge, source_of
from course.capstone.server import Stopped
from course.conform.check import CHECKS, Verdict
from course.conform.command import run as run_conform
from course.conform.runner import chosen_checks
from course.errors import UserError
from course.grader import batch, process
from course.grader.folder import Student
from course.grader.process import Limits, isolation
from course.grader.report import write_reports
from course.grader.run import Result
from course.grader.store import Graded, Row
from course.grader.submission import Unreadable
from course.manifest import ROOT, load
from course.workbench.sign_in import open_socket
from tests.course.wrong_servers import WRONG

CAPSTONE = load().capstone
LEVELS = CAPSTONE.levels
SOLUTION = (ROOT / "solutions" / "capstone" / "chat_server.py").read_text()
HANDED_OUT = ROOT / "exercises" / "capstone"


# -- The levels ---------------------------------------------------------------------------------------------------


def test_levels_name_checks_that_are_there() -> None:
    """Each check of a level exists, once; what it needs comes with the level or before it; the numbers are in order."""
    assert [level.number for level in LEVELS] == list(range(1, len(LEVELS) + 1))
    before: set[str] = set()
    for level in LEVELS:
        assert len(set(level.checks)) == len(level.checks)
        before |= set(level.checks)
        needed = {check.name for check in chosen_checks(tuple(level.checks))}
        assert needed <= before, level.title
        asked = [CHECKS[name] for name in level.checks]
        assert not any(check.is_slow for check in asked)
        assert level.instances == 2 or not any(check.needs_two for check in asked)
        assert len(level.hints) >= 2
        assert all(level.hints)


def test_the_task_names_every_level_and_check() -> None:
    """The README that learners get has the manifest's levels, and of each check what it promises."""
    text = (HANDED_OUT / "README.md").read_text()
    assert text == starter.readme()
    for level in LEVELS:
        assert level.title in text
        assert all(f"| `{name}` | {CHECKS[name].says} |" in text for name in level.checks)
    assert "<!--" not in text


def test_conform_takes_a_level() -> None:
    """`course conform --level 9` is a mistake in one line; a known level's checks are asked for."""
    options: dict[str, Any] = {"json_output": True, "slow": False, "patience_s": 1.0}
    with pytest.raises(UserError, match="no level 9"):
        run_conform("http://127.0.0.1:1", None, levels=(9,), **options)
    with pytest.raises(UserError, match="nothing answers"):
        run_conform("http://127.0.0.1:1", None, levels=(1,), **options)


# -- The starter --------------------------------------------------------------------------------------------------


def test_the_starter_is_generated_from_the_solution() -> None:
    """What lies in `exercises/` is what the generator writes, unless a learner has begun."""
    there = (HANDED_OUT / "chat_server.py").read_text()
    assert there == starter.starter() or not starter.is_untouched(there)


def test_the_starter_gives_nothing_away_and_can_be_loaded() -> None:
    """No line from between the markers; every gap names its level; Python can load it, and it has its app."""
    handed_out = starter.starter()
    inside = [line for region in starter.REGION.finditer(SOLUTION) for line in region[0].splitlines()]
    secrets = [line.strip() for line in inside if len(line.strip()) > 30]
    assert len(secrets) > 200
    assert not [line for line in secrets if line in handed_out]
    assert "SOLUTION" not in handed_out
    found = {level.number for level in LEVELS if f"level {level.number}" in handed_out.lower()}
    assert {1, 2, 5, 6, 7} <= found
    spec = importlib.util.spec_from_loader("starter", None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(handed_out, vars(module))  # noqa: S102 - our own
    assert callable(module.app)


def test_a_learners_server_survives_an_update(tmp_path: Path) -> None:
    """An untouched starter of any version is brought up to date; one with a changed character stays as it is."""
    path = tmp_path / "chat_server.py"
    starter.put(tmp_path)
    assert path.read_text() == starter.starter()
    body = "# an older one\n"
    path.write_text(f"{body.rstrip()}\n\n# As handed out: {starter._digest(body)}\n")
    starter.put(tmp_path)
    assert path.read_text() == starter.starter()
    mine = starter.starter().replace('"My chat server"', '"Mine"')
    path.write_text(mine)
    starter.put(tmp_path)
    assert path.read_text() == mine
    assert (tmp_path / "README.md").exists()


def test_what_is_no_server_is_said_in_one_line() -> None:
    """Nothing, the starter, no text, and the course's own server in disguise: each has its status."""
    for content, status in (
        (b" \n", "missing"),
        (starter.starter().encode(), "missing"),
        (b"\xff\xfe\x00", "crashed"),
        (b"from reference_impl.app import create_app\napp = create_app()\n", "tampered"),
        (b"import importlib\nimportlib.import_module('reference_impl.app')", "tampered"),
    ):
        with pytest.raises(Unreadable) as refusal:
            source_of(content)
        assert refusal.value.status == status
    for good in (
        SOLUTION,
        "# as reference_impl does\n'see reference_impl/app.py'\nfrom course_of_my_own import x",
        "def (",
    ):
        assert source_of(good.encode()) == good


# -- Points -------------------------------------------------------------------------------------------------------


def test_points_are_for_what_has_passed() -> None:
    """Part of a level gives part of its points, rounded down; the message is about the first failure, else the end."""
    level = LEVELS[0]
    checks = [CHECKS[name] for name in level.checks]
    verdicts = {one.name: Verdict(one, "passed") for one in checks[:3]}
    verdicts |= {one.name: Verdict(one, "skipped", "needs something") for one in checks[3:]}
    half = judging._result(level, Asked(verdicts, None))
    assert (half.status, half.points) == ("failed", level.points * 3 // len(checks))
    assert "Not tried: needs something" in half.message
    verdicts[checks[-1].name] = Verdict(checks[-1], "failed", "x" * 9000)
    assert checks[-1].name in judging._result(level, Asked(verdicts, None)).message
    assert len(judging._result(level, Asked(verdicts, None)).message) < 1000
    late = judging._result(level, Asked(dict(list(verdicts.items())[:3]), Stopped("timeout", "not done")))
    assert (late.status, late.points) == ("timeout", half.points)
    assert judging._result(level, Asked({}, Stopped("crashed", "gone"))).points == 0


def test_the_starter_has_no_points() -> None:
    """It starts at once, answers, says what is to be built, and keeps no promise of any level of one instance."""
    alone = [level for level in LEVELS if level.instances == 1]
    results = judge(starter.starter() + "# begun\n", alone, Limits())
    assert [result.points for result in results] == [0] * len(alone)
    assert {result.status for result in results} == {"failed"}
    assert "not built yet: level 1" in results[0].message


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_server_is_caught_by_its_level(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that is meant for the mistake sees it; what it needs passes."""
    monkeypatch.setattr(judging, "PATIENCE_S", 3.0)
    wrong = WRONG[name]
    source = SOLUTION
    for before, after in wrong.changes:
        assert source.count(before) == 1
        source = source.replace(before, after)
    level = CAPSTONE.level(wrong.level)
    assert wrong.check in level.checks
    seen: list[Verdict] = []
    (result,) = judge(source, [msgspec.structs.replace(level, checks=[wrong.check])], Limits(), seen.append)
    assert result.status == "failed", result.message
    assert [one.check.name for one in seen if one.outcome == "failed"] == [wrong.check]
    assert "Seen: " in result.message


# -- Servers that mean no good ------------------------------------------------------------------------------------

FLOOD = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-points", b"60")]})
    while True:
        await send({"type": "http.response.body", "body": b"[" * 2**20, "more_body": True})
"""
FORGED = """
import json
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = json.dumps({"access_token": "x", "id": "1", "status": "passed", "points": 60, "outcome": "passed"})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body.encode()})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "[" * 100_000})
        await send({"type": "websocket.send", "text": json.dumps({"action": "connected", "data": "[" * 1000})})
        await receive()
"""


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("import os\nos._exit(0)", "crashed", "ended by itself"),
        ("raise RuntimeError('no app today')", "crashed", "no app today"),
        ("while True: print('x' * 10**6)", "timeout", "answers nothing"),
        ("import os\nwhile True: os.fork()", "crashed", "more"),  # processes, or memory: whichever is first
        (FLOOD, "crashed", "more than can be read"),
        (FORGED, "failed", "0 of"),
    ],
    ids=["exits", "raises", "prints for ever and never starts", "forks", "floods", "forges"],
)
def test_a_hostile_server_has_no_points_and_an_end(
    source: str, status: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it does, there is a result in time, and no process is left."""
    monkeypatch.setattr(judging, "PATIENCE_S", 1.0)
    before = set(psutil.Process().children(recursive=True))
    (result,) = judge(source, LEVELS[:1], Limits(wall_clock_s=8 if status == "timeout" else 60))
    assert (result.status, result.points) == (status, 0), result.message
    assert says in result.message
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.skipif(bool(isolation()), reason="no namespaces here")
def test_a_server_sees_nothing_of_the_machine() -> None:
    """No solution, no reference, no judge's file, no network but its own, nothing written that stays."""
    marker = ROOT / "course" / "written_by_a_server"
    listener = socket.create_server(("127.0.0.1", 0))
    source = f"""
import pathlib, socket
for path in ("solutions/capstone/chat_server.py", "refer" "ence_impl/app.py", "course/judges/picture.py"):
    assert not pathlib.Path({str(ROOT)!r}, path).exists(), path
try:
    pathlib.Path({str(marker)!r}).write_text("x")
    raise SystemExit("it can write")
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}), timeout=1)
    raise SystemExit("it can call out")
except OSError:
    pass
raise SystemExit("as it should be")
"""
    with listener:
        (result,) = judge(source, LEVELS[:1], Limits())
    assert "as it should be" in result.message
    assert not marker.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_without_namespaces_a_server_is_checked_and_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only limited isolation is possible: the same answers, and nothing is left, daemons included."""
    monkeypatch.setattr("course.capstone.server.isolation", lambda: "not here")
    daemon = "import subprocess\nsubprocess.Popen(['sh', '-c', '(setsid sleep 987 &)'], start_new_session=True)\n"
    level = msgspec.structs.replace(LEVELS[0], checks=["conversations-can-be-made"])
    (result,) = judge(daemon + SOLUTION, [level], Limits())
    assert result.status == "passed", result.message
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "987"]]


def test_an_interrupt_ends_it() -> None:
    """Who stops the batch does not wait for a server."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(process.Stopped):
        judge("while True: pass", LEVELS[:1], Limits(stop=stop))


# -- At the learner's desk ----------------------------------------------------------------------------------------


def test_check_shows_points_and_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Points by level, the first broken promise, where the hint is; progress is kept; the solution comes last."""
    folder = tmp_path / "capstone"
    starter.put(folder)
    assert local.run_check(False, folder=tmp_path) == 1
    assert "not started yet" in capsys.readouterr().out
    mine = starter.starter() + "# begun\n"
    (folder / "chat_server.py").write_text(mine)
    outcome = ["passed", "failed"]

    def answers(source: str, levels: list[Any], *_: Any) -> list[Result]:
        infos = [one for one in CAPSTONE.as_chapter().checks if one.id in {level.id for level in levels}]
        assert source == mine
        return [Result(one, 3, outcome[number % 2], f"{one.id} seen") for number, one in enumerate(infos)]  # type: ignore[arg-type]

    monkeypatch.setattr(local, "judge", answers)
    assert local.run_check(False, folder=tmp_path) == 1
    shown = capsys.readouterr().out
    assert "capstone.2: capstone.2 seen" in shown
    assert "A hint: course check --hint capstone.2" in shown
    with pytest.raises(UserError, match=r"capstone\.2, .*has not passed yet"):
        local.show_solution(tmp_path)
    outcome[1] = "passed"
    assert local.run_check(False, 2, folder=tmp_path) == 0
    assert "On to the next level" in capsys.readouterr().out
    assert local.run_check(False, folder=tmp_path) == 0
    assert local.show_solution(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "class Connection" in shown
    assert "BEGIN SOLUTION" not in shown
    assert local.reset(tmp_path) == 0
    assert (folder / "chat_server.py").read_text() == starter.starter()
    assert [path.read_text() for path in (tmp_path / "kept").iterdir()] == [mine]
    with pytest.raises(UserError, match="has not passed yet"):
        local.show_solution(tmp_path)


async def test_a_server_can_not_send_its_judge_elsewhere() -> None:
    """A handshake that is answered by a redirect has failed: nobody follows it, and no token goes with it."""
    went = asyncio.Event()

    async def elsewhere(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        went.set()
        writer.close()

    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % port)
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as there,
        await asyncio.start_server(redirects, "127.0.0.1", 0) as here,
    ):
        port = there.sockets[0].getsockname()[1]
        with pytest.raises(InvalidStatus):
            await open_socket(f"ws://127.0.0.1:{here.sockets[0].getsockname()[1]}/ws", "header", "a token", {})
    assert not went.is_set()


# -- A class ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One real run: our server, the starter, one that ends at once, a link to elsewhere, and nothing at all."""
    place = tmp_path_factory.mktemp("capstones")
    for student, text in (("ann", SOLUTION), ("bob", starter.starter()), ("mallory", "import os\nos._exit(3)")):
        folder = place / "in" / student / "capstone"
        folder.mkdir(parents=True)
        (folder / "chat_server.py").write_text(text)
    (place / "in" / "eve" / "capstone").mkdir(parents=True)
    (place / "in" / "eve" / "capstone" / "chat_server.py").symlink_to(
        ROOT / "solutions" / "capstone" / "chat_server.py"
    )
    (place / "in" / "nobody").mkdir()
    command = [sys.executable, "-m", "course", "grade", str(place / "in"), "--out", str(place / "out")]
    shown = subprocess.run(
        [*command, "--chapter", "capstone", "--jobs", "2"], capture_output=True, text=True, timeout=110
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("5 students, 0 notebooks, 4 servers: ")
    yield place / "out"
    assert not [entry for entry in os.scandir("/tmp") if entry.name.startswith("breakwire-door-")]  # noqa: S108


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_solution_keeps_every_promise(graded_class: Path) -> None:
    """All points at every level, graded as a class is: in the sandbox, one instance and two."""
    mine = [row for row in rows(graded_class / "grades.csv") if row["student"] == "ann"]
    assert [row["check"] for row in mine] == [level.id for level in LEVELS]
    assert {row["exercise"] for row in mine} == {"capstone"}
    assert {row["status"] for row in mine} == {"passed"}, [row["message"] for row in mine]
    assert sum(int(row["points"]) for row in mine) == sum(level.points for level in LEVELS)


def test_each_submission_has_its_status(graded_class: Path) -> None:
    """Rows for those that have handed one in, and a page; who has not is not there: it is optional."""
    found = {(row["student"], row["status"]) for row in rows(graded_class / "grades.csv")}
    assert found == {("ann", "passed"), ("bob", "missing"), ("mallory", "crashed"), ("eve", "tampered")}
    summary = {row["student"]: row for row in rows(graded_class / "summary.csv")}
    assert "nobody" not in summary
    assert summary["ann"]["percent"] == "100"  # with nothing else graded, it is all there is
    page = (graded_class / "feedback" / "ann.html").read_text()
    assert CAPSTONE.title in page
    assert "course check capstone" in page
    assert "ended by itself" in (graded_class / "feedback" / "mallory.html").read_text()


def test_an_unchanged_server_is_not_asked_again(graded_class: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command again keeps what is there; another level or check would make it ask anew."""
    monkeypatch.setattr(batch, "judge", None)
    before = (graded_class / "grades.csv").read_text()
    options: dict[str, Any] = {"jobs": 1, "timeout_s": 60, "chapters": []}
    assert batch.run_grade(graded_class.parent / "in", graded_class, **options) == 0
    assert (graded_class / "grades.csv").read_text() == before


@pytest.mark.parametrize("counts", [False, True])
def test_who_has_none_is_asked_for_it_only_if_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """Optional: nothing to grade. Else: missing. One folder deeper is found, too."""
    manifest = load()
    changed = msgspec.structs.replace(manifest, capstone=msgspec.structs.replace(CAPSTONE, counts=counts))
    monkeypatch.setattr(batch, "load", lambda: changed)
    (tmp_path / "ann" / "exercises" / "capstone").mkdir(parents=True)
    (tmp_path / "ann" / "exercises" / "capstone" / "chat_server.py").write_text("app = None")
    (tmp_path / "bob").mkdir()
    found = batch._servers([Student(name, tmp_path / name) for name in ("ann", "bob")])
    assert [task.student.name for task in found] == (["ann", "bob"] if counts else ["ann"])
    assert found[0].student.content("capstone") == b"app = None"


@pytest.mark.parametrize("counts", [False, True])
def test_it_lowers_nobodys_percent_unless_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """Beside notebooks its points have a column of their own; in the percent they are only if the manifest says so."""
    manifest = load()
    capstone = msgspec.structs.replace(CAPSTONE, counts=counts)
    monkeypatch.setattr("course.grader.report.load", lambda: msgspec.structs.replace(manifest, capstone=capstone))
    chapter = manifest.chapter(1)
    most = sum(check.points for check in chapter.checks)
    notebook = [Row(check.id, check.points, check.points, "passed") for check in chapter.checks]
    server = [Row(level.id, 0, level.points, "failed") for level in LEVELS]
    graded = [
        Graded("ann", chapter.name, "", 0, notebook, {}),
        Graded("ann", "capstone", "", 0, server, {}),
        Graded("bob", chapter.name, "", 0, notebook, {}),
    ]
    students = [Student(name, tmp_path / name) for name in ("ann", "bob")]
    write_reports(tmp_path, [chapter, capstone.as_chapter()], students, graded)
    ann, bob = rows(tmp_path / "summary.csv")
    assert ann["capstone"] == "0"
    assert bob["capstone"] == ""
    assert bob["percent"] == "100"
    expected = 100 * most / (most + sum(level.points for level in LEVELS)) if counts else 100
    assert float(ann["percent"]) == pytest.approx(expected, abs=0.1)
