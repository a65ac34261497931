"""Every trick that must not raise a score: each ends in the right status, and no other exercise suffers.

A kernel start is dear, so tricks that do not get in each other's way run together.
"""

import json
from pathlib import Path

import psutil
import pytest

from course.grader import process
from course.grader.notebooks import copied, grade_id, spliced
from course.grader.process import Limits, isolation
from course.grader.run import NotRun, grade
from course.grader.submission import parse
from tests.course.handed_in import CHAPTER, PRISTINE, SOLVED, content, graded, graded_file, points, statuses

EMPTY = """class ConnectionManager:
    def __init__(self, **_):
        self.connections_by_id = self.connections_by_user = {}

"""

PATCHES = """
# NBVAL_SKIP
# NBVAL_IGNORE_OUTPUT
import asyncio, builtins, gc, json, pathlib, sys
get_ipython().showtraceback = lambda *a, **k: None
builtins.print = lambda *a, **k: None
def check(name, subject=None): pass
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("cour" + "se."):
        for name in ("judge_all", "judge_one", "first_failure", "judge"):
            if hasattr(module, name):
                setattr(module, name, lambda *a: None)
get_ipython().events.register("pre_run_cell", lambda info: None)
"""

FORGED_RESULT = """
import json, os, pathlib, sys
c = sys.modules["cour" + "se.checks.check"]
def lie(check_id, subject):
    job = json.loads((c.STARTED_IN / ("cases" + f"-{check_id}.json")).read_text())
    seen = [[[["returned", None], {}, {}] for _ in case] for case in job["cases"]]
    forged = {"nonce": job["nonce"] if check_id != "1.2" else "00", "check": check_id, "observations": seen}
    (c.STARTED_IN / ("eviden" + f"ce-{check_id}.json")).write_text(json.dumps(forged if check_id != "1.3" else [1]))
setattr(c, "drive_for_" + "grading", lie)
for fd in range(3, 60):
    for pid in (os.getppid(), 1):
        try:
            with open(f"/proc/{pid}/fd/{fd}", "w") as pipe:
                pipe.write(json.dumps({"ends": "check:1.1", "passed": True, "error": ""}) + "\\n")
        except OSError:
            pass
"""


def test_patches_of_python_and_notebook_change_nothing() -> None:
    """nbval markers, a silent traceback, another print, another judge: the class is still empty."""
    results = graded({**SOLVED, "answer-1": EMPTY + PATCHES})
    assert (points(results, 1), points(results, 2)) == (0, 10)
    assert statuses(results, 1) == {"failed"}


def test_a_forged_result_is_no_result() -> None:
    """Made-up observations are judged as such; a wrong nonce or form is seen; nobody gets at the pipe."""
    results = graded({"answer-1": EMPTY + FORGED_RESULT, "answer-2": ""})
    assert points(results) == 0
    assert [results[name].status for name in ("1.1", "1.2", "1.3")] == ["failed", "tampered", "tampered"]
    assert {results[name].message for name in ("2.1", "2.2")} == {"there is no answer"}


@pytest.mark.parametrize(
    "reach",
    [
        "import course.judges.ex01_connection_manager as e\ne.judge = print",
        "from course.checks.ex01_connection_manager import drive",
        "exec(open('solutions/01_basics.ipynb').read())",
        "open('evidence-1.1.json', 'w')",
    ],
)
def test_reaching_into_the_grading_is_tampering(reach: str) -> None:
    """Even beside a right answer: it is named, nothing is run, and the other exercise is not concerned."""
    results = graded({"answer-1": SOLVED["answer-1"] + "\n" + reach})
    assert statuses(results, 1) == {"tampered"}
    assert points(results) == 0
    assert "take that out" in results["1.1"].message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import os\nos._exit(0)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        ("import sys\nsys.exit(0)", "import os\nfor _ in range(400):\n    os.fork() or __import__('time').sleep(60)"),
    ],
)
def test_an_early_exit_brings_nothing(first: str, second: str) -> None:
    """exit, kill and a fork bomb: 0 points each, seen at once; a word about what happened; no process left."""
    before = set(psutil.Process().children(recursive=True))  # servers that other tests share
    results = graded({"answer-1": EMPTY + first, "answer-2": second})
    assert points(results) == 0
    assert statuses(results, 1) | statuses(results, 2) <= {"crashed", "failed"}
    assert set(psutil.Process().children(recursive=True)) <= before


def test_memory_is_bounded() -> None:
    """An answer that takes all there is ends; the other exercise gets its points."""
    results = graded({**SOLVED, "answer-1": "x = []\nwhile True:\n    x.append(bytearray(200_000_000))"})
    assert (statuses(results, 1), points(results)) == ({"crashed"}, 10)
    assert "memory" in results["1.1"].message


LOOKS_AROUND = """
import os, pathlib, socket, subprocess
seen = []
def attempt(name, what):
    try:
        what()
        seen.append(name)
    except (OSError, subprocess.SubprocessError, StopIteration):
        pass
root = pathlib.Path(os.environ["PYTHONPATH"])
attempt("solutions", lambda: next((root / "solutions").iterdir()))
attempt("judges", lambda: next((root / "course" / "judges").glob("*.py")))
attempt("others", lambda: next(pathlib.Path({submissions!r}).iterdir()))
attempt("keys", lambda: next(pathlib.Path({home!r}, ".ssh").iterdir()))
attempt("write", lambda: (root / "course" / "hacked").write_text("x"))
attempt("network", lambda: socket.create_connection(("192.0.2.1", 80), timeout=1))
attempt("loopback of the machine", lambda: socket.create_connection(("127.0.0.1", {port}), timeout=1))
subprocess.Popen(["sh", "-c", "(setsid sleep 987 &)"], start_new_session=True)
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname(), timeout=5).close()
raise RuntimeError(f"seen: {{seen}}, root: {{os.geteuid() == 0}}, tmp: {{os.environ['TMPDIR']}}")
"""


@pytest.mark.skipif(bool(isolation()), reason="no namespaces here")
def test_the_machine_is_out_of_sight(tmp_path: Path) -> None:
    """No solutions, judges, other submissions, home, no writing, no network but an own loopback; daemons end."""
    import socket  # noqa: PLC0415

    (tmp_path / "ann").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = LOOKS_AROUND.format(submissions=str(tmp_path), home=str(Path.home()), port=port)
        results = grade(CHAPTER, PRISTINE, parse(content({"answer-1": source})), Limits(60, (str(tmp_path),)))
    assert "RuntimeError: seen: [], root: False, tmp: /tmp/submission/tmp" in results[0].message
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "987"]]


def test_without_namespaces_it_is_still_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Linux does not allow them: the same points, and neither a daemon nor a folder is left."""
    monkeypatch.setattr("course.grader.process.isolation", lambda: "not allowed")
    daemon = "import os, subprocess\nsubprocess.Popen(['sh', '-c', '(setsid sleep 986 &)'], start_new_session=True)\n"
    where = "raise RuntimeError(os.getcwd())"
    results = graded({**SOLVED, "answer-1": daemon + where})
    assert points(results) == 10
    folder = results["1.1"].message.rsplit(" ", 1)[1]
    assert "breakwire-grade-" in folder
    assert not Path(folder).exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "986"]]


def test_a_machine_that_can_not_grade_gives_no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing can be run at all, that is said with its reason, and is nobody's zero."""
    order = process.sandbox_order
    monkeypatch.setattr(process, "sandbox_order", lambda command, *rest: order(["/not-there", *command[1:]], *rest))
    with pytest.raises(NotRun, match="not-there"):
        graded(SOLVED)


def test_locked_cells_do_not_count_as_theirs() -> None:
    """Edited, doubled, deleted and moved check cells change nothing: the pristine ones are run, and it is said."""
    theirs = copied(spliced(PRISTINE, {"answer-1": EMPTY, "answer-2": SOLVED["answer-2"]}))
    kept = []
    for cell in theirs.cells:
        if grade_id(cell) == "check-1-1":
            cell.source = "print('✓ 1.1: 4 of 4 points')"
            cell.metadata["nbgrader"].update(points=400, solution=True)
            kept += [cell, copied(theirs).cells[0], cell]
        elif grade_id(cell) not in ("check-2-1", "setup"):
            kept.append(cell)
    theirs.cells = kept[::-1]
    results = graded_file(json.dumps(theirs).encode())
    assert [results[name].points for name in ("1.1", "2.1", "2.2", "2.3")] == [0, 3, 4, 3]
    assert results["1.1"].status == "tampered"
    assert results["1.2"].status == "failed"
    assert "own cell was deleted; the original one is what counts" in results["2.1"].message
    assert "they do not count" in results["2.2"].message
