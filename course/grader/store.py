"""Keeps what has been graded: a batch that was interrupted goes on, and an unchanged notebook is not graded again."""

import hashlib
import os
from functools import cache
from pathlib import Path

import msgspec

from course.grader.run import Result
from course.grader.submission import Status
from course.manifest import CAPSTONE, ROOT, ChapterInfo, load

JUDGING = ("notebooks", "plugin", "process", "run", "sandbox", "submission", "transplant")
VERSIONED = ("course/checks/*.py", "course/judges/*.py", *(f"course/grader/{name}.py" for name in JUDGING))
ASKING = ("course/capstone/*.py", "course/conform/**/*.py", "course/grader/process.py", "course/grader/sandbox.py")


class Row(msgspec.Struct, frozen=True):
    """One check's result, as it is kept."""

    check: str
    points: int
    max_points: int
    status: Status
    message: str = ""
    misconception: str = ""
    steps: str = ""
    picture: str = ""
    code: str = ""


class Graded(msgspec.Struct, frozen=True):
    """One notebook's results, and of what: the fingerprint changes with the submission and with the course."""

    student: str
    chapter: str
    fingerprint: str
    seconds: float
    rows: list[Row]
    explained: dict[str, str]
    """What was written into the explain cells."""


def row_of(result: Result) -> Row:
    """A result to keep."""
    check, texts = result.check, (result.misconception, result.steps, result.picture, result.code)
    return Row(check.id, result.points, check.points, result.status, _text(result.message), *map(_text, texts))


def _text(text: str) -> str:
    """Without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def fingerprint(content: bytes, chapter: ChapterInfo, wall_clock_s: float) -> str:
    """Of a submission, as this version of the course grades it."""
    return hashlib.sha256(
        b"\0".join([course_version(chapter.name), str(float(wall_clock_s)).encode(), content])
    ).hexdigest()


@cache
def course_version(chapter: str) -> bytes:
    """Changes with the checks, the grader and the chapter's notebook."""
    digest = hashlib.sha256(msgspec.json.encode(chapter))
    if chapter == CAPSTONE:
        digest.update(msgspec.json.encode(load().capstone))
    paths = [path for pattern in (ASKING if chapter == CAPSTONE else VERSIONED) for path in sorted(ROOT.glob(pattern))]
    for path in [*paths, *sorted(ROOT.glob(f"*/{chapter}.ipynb"))]:
        if path.parent.name not in ("exercises", "notebooks"):
            digest.update(path.read_bytes())
    return digest.digest()


class Store:
    """One file a notebook in a folder; written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, student: str, chapter: str) -> Graded | None:
        """What is kept; None when nothing is, or it is broken."""
        try:
            return msgspec.json.decode(self._path(student, chapter).read_bytes(), type=Graded)
        except (OSError, msgspec.MsgspecError):
            return None

    def put(self, graded: Graded) -> None:
        """Keeps it."""
        write_whole(self._path(graded.student, graded.chapter), msgspec.json.encode(graded))

    def _path(self, student: str, chapter: str) -> Path:
        name = hashlib.sha256(f"{student}/{chapter}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file in one step: a reader, and whoever pulls the plug, sees the old one or the new one."""
    new = path.with_name(f".{path.name[:100]}.new")
    new.write_bytes(content)
    os.replace(new, path)  # noqa: PTH105
