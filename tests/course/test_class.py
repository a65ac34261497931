"""A class graded by one command: tables, pages, going on after an interrupt."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from course.errors import UserError
from course.grader import batch
from course.grader.batch import run_grade
from course.grader.process import Stopped
from course.grader.report import page_name
from course.grader.run import Result
from course.grader.tables import harmless, read_table
from tests.course.handed_in import CHAPTER, SOLVED, content

WRONG = SOLVED["answer-1"].replace(
    "setdefault(user_id, set()).add(connection_id)", "update({user_id: {connection_id}})"
)
EXPLAINED = {"explain-1": "The <b>second</b> tab takes the first one's place."}


def hand_in(folder: Path, student: str, file: bytes) -> None:
    (folder / student).mkdir(parents=True)
    (folder / student / "01_basics.ipynb").write_bytes(file)


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One real run over a class of all sorts; the folder that it has written."""
    before = set(psutil.Process().children(recursive=True))  # servers that other tests share
    place = tmp_path_factory.mktemp("class")
    submissions = place / "submissions"
    hand_in(submissions, "ann", content(SOLVED | EXPLAINED))
    hand_in(submissions, '=HYPERLINK("x")', content(SOLVED | {"answer-1": WRONG} | EXPLAINED))
    hand_in(submissions, "李 <b>雷", content({}))
    hand_in(submissions, "mallory", content({"answer-1": "import course.judges", "answer-2": "import os\nos._exit(0)"}))
    hand_in(submissions, "empty", b"")
    hand_in(submissions, "zip", b"PK\x03\x04")
    (submissions / "nobody").mkdir()
    shown = subprocess.run(
        [sys.executable, "-m", "course", "grade", str(submissions), "--out", str(place / "out"), "--jobs", "2",
         "--chapter", "1"],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("7 students, 7 notebooks: ")
    yield place / "out"
    assert set(psutil.Process().children(recursive=True)) <= before


def grade_first_chapter(submissions: Path, out: Path, **options: Any) -> int:
    """Grades what these tests hand in: the number of chapters is not their concern."""
    chosen: dict[str, Any] = {"timeout_s": 60, "chapters": [1]}
    return run_grade(submissions, out, **(chosen | options))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables(graded_class: Path) -> None:
    """A row a check with exactly the contract's columns; one row a student; names can not be formulas."""
    grades = rows(graded_class / "grades.csv")
    assert list(grades[0]) == [
        "student",
        "exercise",
        "check",
        "points",
        "max_points",
        "status",
        "misconception",
        "message",
    ]
    assert len(grades) == 7 * len(CHAPTER.checks)
    found = {(row["student"], row["check"]): row for row in grades}
    assert found["ann", "1.1"]["status"] == "passed"
    assert found['\'=HYPERLINK("x")', "1.1"]["misconception"] == "overwrites"
    statuses = {(row["student"], row["exercise"]): row["status"] for row in grades if row["check"].endswith(".1")}
    assert statuses["mallory", "1"] == "tampered"
    assert statuses["mallory", "2"] == "crashed"
    assert statuses["zip", "1"] == "crashed"
    assert {statuses[name, "1"] for name in ("empty", "nobody", "李 <b>雷")} == {"missing"}
    summary = {row["student"]: row for row in rows(graded_class / "summary.csv")}
    assert len(summary) == 7
    assert summary["ann"] == {
        "student": "ann", "points": "20", "max_points": "20", "percent": "100", "01_basics": "20", "to_score": "2",
    }  # fmt: skip
    assert sum(int(row["points"]) for row in grades) == sum(int(row["points"]) for row in summary.values())


def test_the_pages(graded_class: Path) -> None:
    """A page a student under its name, everything escaped, no script, nothing from elsewhere."""
    pages = sorted(path.name for path in (graded_class / "feedback").iterdir())
    assert pages == sorted(f"{row['student'].removeprefix(chr(39))}.html" for row in rows(graded_class / "summary.csv"))
    wrong = (graded_class / "feedback" / '=HYPERLINK("x").html').read_text()
    assert "connect(ann, s1)" in wrong
    assert wrong.count("<svg") == 1
    assert wrong.count("The same mistake as in 1.1.") == 2
    assert "Keep several connections per user." in wrong
    assert "<title>" in wrong
    assert "The &lt;b&gt;second&lt;/b&gt; tab" in wrong
    for path in [*(graded_class / "feedback").iterdir(), graded_class / "class.html", graded_class / "explain.html"]:
        page = path.read_text()
        assert "<script" not in page
        assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
        assert "default-src 'none'" in page
        assert "<b>雷" not in page
    overview = (graded_class / "class.html").read_text()
    assert "overwrites" in overview
    assert "Rubric" not in wrong
    assert "Rubric" not in overview


def test_an_instructors_points_are_merged_in(graded_class: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points in manual.csv, as a spreadsheet saves it, reach tables and pages; nothing is graded again for that."""
    monkeypatch.setattr(batch, "grade", None)
    path = graded_class / "manual.csv"
    table = [row | {"points": "2,5", "comment": "nice"} if row["check"] == "explain-1" else row for row in rows(path)]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(table)
    assert grade_first_chapter(graded_class.parent / "submissions", graded_class, jobs=1) == 0
    ann = {row["student"]: row for row in rows(graded_class / "summary.csv")}["ann"]
    assert (ann["points"], ann["max_points"], ann["to_score"]) == ("22.5", "23", "1")
    assert "nice" in (graded_class / "feedback" / "ann.html").read_text()
    given = [row for row in rows(graded_class / "grades.csv") if row["check"] == "explain-1"]
    assert {(row["points"], row["max_points"], row["status"]) for row in given} == {("2.5", "3", "passed")}
    assert len(given) == 7
    path.write_text(path.read_text().replace("2.5", "7"))
    before = path.read_text()
    assert grade_first_chapter(graded_class.parent / "submissions", graded_class, jobs=1) == 0
    assert path.read_text() == before  # what is not understood is not overwritten


# -- scheduling, with a grader that only pretends -------------------------------------------------------------


class Pretended:
    """Counts what is graded; can fail, and can be told to wait."""

    def __init__(self) -> None:
        self.graded = 0
        self.interrupt_at: int | None = None

    def __call__(self, chapter: Any, _pristine: Any, cells: Any, limits: Any) -> list[Result]:
        self.graded += 1
        if self.graded == self.interrupt_at:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):  # as people do: again and again
                psutil.Process().send_signal(number)
            assert limits.stop.wait(10)
            raise Stopped
        if any("explode" in cell.source for cell in cells):
            raise ZeroDivisionError("a mistake of the grader")
        return [Result(check, check.points, "passed", "half a character: \ud800") for check in chapter.checks]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    made = Pretended()
    monkeypatch.setattr(batch, "grade", made)
    monkeypatch.setattr(batch, "isolation", lambda: "")
    return made


def test_what_is_unchanged_is_kept(tmp_path: Path, pretended: Pretended) -> None:
    """A second run grades only what has changed; ``--again`` grades all; another time limit is another run."""
    for name in ("ann", "bob", "cyd"):
        hand_in(tmp_path / "in", name, content(SOLVED))

    def run(**options: Any) -> int:
        before = pretended.graded
        assert grade_first_chapter(tmp_path / "in", tmp_path / "out", jobs=2, **options) == 0
        return pretended.graded - before

    assert run() == 3
    assert run() == 0
    (tmp_path / "in" / "bob" / "01_basics.ipynb").write_bytes(content({"answer-1": WRONG}))
    assert run() == 1
    assert run(again=True) == 3
    assert run(timeout_s=30) == 3
    (tmp_path / "out" / "kept").joinpath("broken.json").write_text("{")
    for path in (tmp_path / "out" / "kept").glob("*.json"):
        path.write_text(path.read_text()[:50])
    assert run(timeout_s=30) == 3


def test_an_interrupt_leaves_results_and_a_way_on(
    tmp_path: Path, pretended: Pretended, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM, like Ctrl-C: valid tables of what is done, how to go on, exit 130; the next run does the rest."""
    for name in ("ann", "bob", "cyd"):
        hand_in(tmp_path / "in", name, content(SOLVED))
    pretended.interrupt_at = 2
    assert grade_first_chapter(tmp_path / "in", tmp_path / "out", jobs=1) == 130
    shown = " ".join(capsys.readouterr().err.split())
    assert "1 of 3 notebooks are graded" in shown
    assert "Run the same command again" in shown
    assert [row["student"] for row in rows(tmp_path / "out" / "summary.csv")] == ["ann"]
    pretended.graded, pretended.interrupt_at = 0, None
    assert grade_first_chapter(tmp_path / "in", tmp_path / "out", jobs=1) == 0
    assert pretended.graded == 2
    assert len(rows(tmp_path / "out" / "summary.csv")) == 3


def test_a_mistake_of_the_grader_stops_nothing(tmp_path: Path, pretended: Pretended) -> None:
    """One notebook on which the grader itself fails is crashed, and says so; the others are graded."""
    hand_in(tmp_path / "in", "ann", content({"answer-1": "explode"}))
    hand_in(tmp_path / "in", "bob", content(SOLVED))
    assert grade_first_chapter(tmp_path / "in", tmp_path / "out", jobs=2) == 0
    found = {row["student"]: row for row in rows(tmp_path / "out" / "grades.csv")}
    assert found["ann"]["status"] == "crashed"
    assert "the grader itself failed on this notebook (ZeroDivisionError" in found["ann"]["message"]
    assert (found["bob"]["status"], found["bob"]["message"]) == ("passed", "half a character: ?")
    before = pretended.graded
    assert grade_first_chapter(tmp_path / "in", tmp_path / "out", jobs=2) == 0
    assert pretended.graded == before + 1  # that one is tried again


def test_usage_mistakes_are_one_line(tmp_path: Path) -> None:
    """Results among the submissions, an unknown chapter, a table that is none."""
    hand_in(tmp_path / "in", "ann", content(SOLVED))
    with pytest.raises(UserError, match="inside the submissions"):
        run_grade(tmp_path / "in", tmp_path / "in" / "out", jobs=1, timeout_s=60)
    with pytest.raises(UserError, match="there is no chapter 99"):
        run_grade(tmp_path / "in", tmp_path / "out", jobs=1, timeout_s=60, chapters=[99])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_formula_is_a_text(tmp_path: Path, text: str) -> None:
    """Spreadsheets show it as it is, and reading the table gives it back."""
    assert harmless(text) == f"'{text}"
    path = tmp_path / "t.csv"
    path.write_text(f'a\n"{harmless(text)}"\n')
    assert read_table(path) == [{"a": text}]


def test_page_names() -> None:
    """The student's own name where that can be a file's; else something near it that nobody else has."""
    assert page_name("Ada Lovelace") == "Ada Lovelace.html"
    assert page_name("..") != page_name(".")
    assert page_name("a/b") != page_name("a_b")
    assert "/" not in page_name("../../etc/passwd")
    assert len(page_name("x" * 255).encode()) < 255


def test_kept_results_are_plain_json(graded_class: Path) -> None:
    """What is kept between runs has no hidden cases in it."""
    kept = [json.loads(path.read_text()) for path in (graded_class / "kept").iterdir()]
    assert len(kept) == 7
    assert {row["status"] for one in kept for row in one["rows"]} >= {"passed", "failed", "tampered", "crashed"}
