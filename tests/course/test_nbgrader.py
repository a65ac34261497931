"""nbgrader itself takes the exercises for an assignment, and counts the same points.

nbgrader fits beside the lock (0.9.6 with JupyterLab 4, nbconvert 7, SQLAlchemy 2), but it brings server
extensions that would change every learner's JupyterLab. So it gets an environment of its own here, and needs the
package index for it: ``pytest -m long tests/course/test_nbgrader.py``.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from course.grader.notebooks import read, spliced, write
from course.grader.release import run_release
from course.manifest import ROOT, load
from tests.course.handed_in import SOLVED, content, graded, points

NBGRADER = "nbgrader==0.9.6"
CHAPTER = "01_basics"
WRONG = SOLVED["answer-1"].replace(
    "setdefault(user_id, set()).add(connection_id)", "update({user_id: {connection_id}})"
)
ANSWERS = {"ann": SOLVED, "bob": SOLVED | {"answer-1": WRONG}, "cyd": {}}

Run = Callable[..., str]


@pytest.fixture(scope="module")
def nbgrader(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs nbgrader's commands, from an environment of its own, in a folder of its own."""
    place = tmp_path_factory.mktemp("nbgrader")
    pinned = re.findall(r"^[a-z0-9._-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (place / "constraints.txt").write_text("\n".join(pinned))
    subprocess.run([sys.executable, "-m", "venv", place / "env"], check=True, timeout=120)
    python = place / "env" / "bin" / "python"
    constraints = str(place / "constraints.txt")
    install = [str(python), "-m", "pip", "install", "-q", "-c", constraints, NBGRADER, "msgspec"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    course = place / "class"
    course.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "JUPYTER"))}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(place), "PATH": f"{python.parent}:{environment['PATH']}"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(python), "-m", "nbgrader", *arguments],
            cwd=course, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.course = course  # type: ignore[attr-defined]
    return run


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_nbgrader_counts_the_same_points(nbgrader: Run, tmp_path: Path) -> None:
    """``generate_assignment`` takes the solutions, ``autograde`` our checks; its points are those of our grader."""
    course: Path = nbgrader.course  # type: ignore[attr-defined]
    source = course / "source" / "chapter1" / f"{CHAPTER}.ipynb"
    source.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "solutions" / f"{CHAPTER}.ipynb", source)
    nbgrader("generate_assignment", "chapter1")
    handed_out = read(course / "release" / "chapter1" / f"{CHAPTER}.ipynb")
    assert not any("BEGIN SOLUTION" in cell.source for cell in handed_out.cells)
    for student, answers in ANSWERS.items():
        path = course / "submitted" / student / "chapter1" / f"{CHAPTER}.ipynb"
        path.parent.mkdir(parents=True)
        write(spliced(handed_out, answers), path)
    nbgrader("autograde", "chapter1", "--create")
    nbgrader("export")
    with (course / "grades.csv").open(newline="") as file:
        theirs = {row["student_id"]: float(row["raw_score"] or 0) for row in csv.DictReader(file)}
    ours = {student: float(points(graded(answers))) for student, answers in ANSWERS.items()}
    assert theirs == ours == {"ann": 20, "bob": 10, "cyd": 0}


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_nbgrader_validates_what_is_released(nbgrader: Run, tmp_path: Path) -> None:
    """``validate``: a solved notebook passes, a fresh one does not; the released file is taken as it is."""
    run_release(tmp_path / "copy")
    path = tmp_path / "copy" / "exercises" / f"{load().chapters[0].name}.ipynb"
    assert "VALIDATION FAILED" in nbgrader("validate", str(path))
    path.write_bytes(content(SOLVED))
    assert "Success! Your notebook passes all the tests." in nbgrader("validate", str(path))
