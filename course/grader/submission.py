"""Reads what was handed in. It may be anything: each way in which it is no notebook has its line."""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any, Literal, NamedTuple

Status = Literal["passed", "failed", "timeout", "crashed", "tampered", "missing"]

MAX_BYTES = 32 * 2**20
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class Unreadable(Exception):
    """Nothing that can be graded. ``message`` is for the learner."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Cell(NamedTuple):
    """What grading looks at of a cell."""

    name: str
    """Its ``grade_id``; where an editor has dropped that, the cell's id. Empty for a cell of their own."""
    kind: str
    source: str


def read_file(path: Path, inside: Path) -> bytes:
    """The content of a file that lies in ``inside`` and nowhere else. Raises ``Unreadable``."""
    if not os.path.lexists(path):
        raise Unreadable("missing", f"{path.name} was not handed in")
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(inside)):
        raise Unreadable("tampered", f"{path.name} is a link to a place outside of the submission: hand in the file")
    try:
        descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable("crashed", f"{path.name} is not a file")
            if about.st_size > MAX_BYTES:
                size = f"{about.st_size / 2**20:.0f} MiB"
                raise Unreadable(
                    "crashed",
                    f"{path.name} has {size}, {MAX_BYTES // 2**20} are read: clear all outputs, hand in again",
                )
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable("crashed", f"{path.name} can not be read: {error.strerror or error}") from None


def parse(content: bytes) -> list[Cell]:
    """The cells of a notebook of format 3 or 4. Raises ``Unreadable``."""
    if not content.strip():
        raise Unreadable("missing", "the file is empty")
    try:
        found = json.loads(_text(content))
    except (ValueError, RecursionError):
        raise Unreadable("crashed", "the file is not a notebook: it is not even JSON. Save it again") from None
    if not isinstance(found, dict) or not isinstance(found.get("nbformat"), int):
        raise Unreadable("crashed", "the file is JSON, but not a notebook")
    if found["nbformat"] not in (3, 4):
        raise Unreadable("crashed", f"notebook format {found['nbformat']} is not known here: save it as format 4")
    cells = found.get("cells") if found["nbformat"] == 4 else _cells_of_format_3(found)
    if not isinstance(cells, list):
        raise Unreadable("crashed", "the notebook has no cells")
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def _text(content: bytes) -> str:
    return content.decode(BYTE_ORDER_MARKS.get(content[:2]) or BYTE_ORDER_MARKS.get(content[:3]) or "utf-8")


def _cells_of_format_3(notebook: dict[str, Any]) -> list[Any]:
    sheets = notebook.get("worksheets")
    cells = []
    for sheet in sheets if isinstance(sheets, list) else []:
        with contextlib.suppress(AttributeError, TypeError):
            cells += sheet.get("cells", [])
    return cells


def _cell(cell: dict[str, Any]) -> Cell:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str):
        source = ""
    kind = cell.get("cell_type")
    clean = source.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return Cell(_name(cell), kind if isinstance(kind, str) else "", clean)


def _name(cell: dict[str, Any]) -> str:
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else cell.get("id")
    return name if isinstance(name, str) else ""
