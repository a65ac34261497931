"""Where the submissions of a class lie, in either of two layouts."""

import os
from pathlib import Path
from typing import NamedTuple

from course.errors import UserError
from course.grader.submission import Cell, Unreadable, parse, read_file
from course.manifest import CAPSTONE


class Student(NamedTuple):
    """One folder of submissions. ``name`` is the folder's, as it may be printed."""

    name: str
    folder: Path

    def notebook(self, chapter: str) -> Path:
        """Where the notebook of a chapter is, or would be.

        ``<student>/<chapter>.ipynb``; else nbgrader's ``<student>/<assignment>/<chapter>.ipynb``, the newest one.
        """
        return self._find(f"{chapter}.ipynb")

    def server(self) -> Path:
        """Where the server of their own is, or would be: ``capstone/chat_server.py``, there or one folder deeper."""
        return self._find(f"{CAPSTONE}/chat_server.py")

    @property
    def has_server(self) -> bool:
        """Whether anything lies where the server should be."""
        return os.path.lexists(self.server())

    def _find(self, name: str) -> Path:
        direct = self.folder / name
        if os.path.lexists(direct) or self.folder.is_symlink():
            return direct
        deeper = [path for path in _entries(self.folder) if path.is_dir() and os.path.lexists(path / name)]
        return max(deeper, key=lambda path: path.stat().st_mtime, default=self.folder) / name

    def content(self, chapter: str) -> bytes:
        """The file's bytes. Raises ``Unreadable``."""
        if self.folder.is_symlink():
            raise Unreadable("tampered", "the student's folder is a link to another place: hand in the files")
        try:
            return read_file(self.server() if chapter == CAPSTONE else self.notebook(chapter), self.folder)
        except Unreadable as error:
            near = [path.name for path in _entries(self.folder) if path.name.startswith(chapter[:2])]  # 01_basics (1)
            if error.status == "missing" and near:
                says = f"{error.message}; there is {printable(sorted(near)[0])!r}: is that it? Then rename it"
                raise Unreadable("missing", says) from None
            raise

    def cells(self, chapter: str) -> list[Cell]:
        """What was handed in. Raises ``Unreadable``."""
        return parse(self.content(chapter))


def students_of(submissions: Path) -> list[Student]:
    """Everybody who has a folder, by name. Raises ``UserError`` when there is nobody."""
    if not submissions.is_dir():
        raise UserError(f"{submissions} is not a folder: it should hold a folder for each student")
    place = submissions / "submitted" if _is_nbgrader_course(submissions) else submissions
    found = _named([path for path in _entries(place) if path.is_dir()])
    if not found:
        raise UserError(f"{submissions} has no folder of a student: it should hold <student>/NN_name.ipynb")
    return found


def _named(folders: list[Path]) -> list[Student]:
    """By name; two that print alike get a number."""
    found: dict[str, Student] = {}
    for folder in sorted(folders):
        name, number = printable(folder.name), 1
        while name in found:
            number += 1
            name = f"{printable(folder.name)} ({number})"
        found[name] = Student(name, folder)
    return sorted(found.values(), key=lambda student: student.name)


def printable(name: str) -> str:
    """A name without what a terminal or a table would act upon."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "�" for character in shown)


def _is_nbgrader_course(submissions: Path) -> bool:
    """Whether this is the folder above ``submitted/<student>/<assignment>/``, not a student of that name."""
    place = submissions / "submitted"
    return place.is_dir() and not any(place.glob("*.ipynb"))


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    except OSError:
        return []
