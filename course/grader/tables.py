"""CSV files as spreadsheets and learning platforms read and write them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from course.errors import UserError
from course.grader.store import write_whole

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula; names and messages come from learners."""


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes the file whole, in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([harmless(value) for value in row] for row in rows)
    write_whole(path, text.getvalue().encode("utf-8", "replace"))


def read_table(path: Path) -> list[dict[str, str]]:
    """Its rows; none when there is no file. Also as a spreadsheet has saved it. Raises ``UserError``."""
    if not path.exists():
        return []
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    header = text.split("\n", 1)[0]
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ","))
    except csv.Error as error:
        raise UserError(f"{path} can not be read as a table: {error}") from error
    return [{str(key): _original(value) for key, value in row.items() if isinstance(value, str)} for row in rows]


def harmless(value: object) -> object:
    """The value as a spreadsheet shows it: a text, never a formula; on one line."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split("\n")) if "\n" in value else value
    return f"'{line}" if line.startswith(FORMULA) else line


def _original(value: str) -> str:
    return value[1:] if value[:1] == "'" and value[1:].startswith(FORMULA) else value


def number(value: float | None) -> str:
    """``3``, ``2.5``, or nothing."""
    return "" if value is None else f"{value:g}"
