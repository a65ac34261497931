"""Notebooks as grading sees them: cells with a ``grade_id``, answers, stubs, and the splice of the two."""

import re
from pathlib import Path
from typing import Any

import nbformat

from course.errors import UserError

Notebook = Any
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION\n?", re.DOTALL | re.MULTILINE)
NBVAL_MARKER = re.compile(r"#\s*(?:NBVAL_|PYTEST_VALIDATE_)\w+", re.IGNORECASE)
CODE_STUB = 'raise NotImplementedError("your code here")'


def read(path: Path) -> Notebook:
    """The notebook at ``path``. Raises ``UserError`` when there is none, or it is not one."""
    try:
        return _reads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there; `python -m course.grader.generate` writes it anew") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, AttributeError) as error:
        raise UserError(f"{path} is not a notebook any more ({type(error).__name__}); restore it") from error


def write(notebook: Notebook, path: Path) -> None:
    """Writes a notebook as JupyterLab does."""
    path.write_text(text_of(notebook) + "\n", encoding="utf-8")


def copied(notebook: Notebook) -> Notebook:
    """A copy that shares nothing with the original."""
    return _reads(text_of(notebook))


def code_cell(source: str, **metadata: Any) -> Any:
    """A code cell."""
    return nbformat.v4.new_code_cell(source, metadata=metadata)  # type: ignore[no-untyped-call]


def _reads(text: str) -> Notebook:
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]


def text_of(notebook: Notebook) -> str:
    """A notebook as the text of its file."""
    return str(nbformat.writes(notebook))  # type: ignore[no-untyped-call]


def grade_id(cell: Any) -> str | None:
    """The cell's ``grade_id``; None for a learner's own cell."""
    found = cell.metadata.get("nbgrader", {})
    return found.get("grade_id") if isinstance(found, dict) else None


def is_answer(cell: Any) -> bool:
    """Whether a learner writes into this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def stub_of(solution: Notebook) -> Notebook:
    """The learner's notebook: solutions replaced by stubs, no outputs."""
    made = copied(solution)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if is_answer(cell):
            stub = rf"\g<1>{CODE_STUB}\n" if cell.cell_type == "code" else ""
            cell.source = _tidy(SOLUTION.sub(stub, cell.source + "\n"))
    return made


def _tidy(source: str) -> str:
    """A stub in ``__init__`` would keep the class from being made: there, the line goes."""
    lines, inside_init = [], False
    for line in source.rstrip("\n").split("\n"):
        if re.match(r"\s*(async )?def ", line):
            inside_init = "def __init__" in line
        if not (inside_init and CODE_STUB in line):
            lines.append(line)
    return "\n".join(lines).rstrip("\n")


def answers_of(notebook: Notebook) -> dict[str, str]:
    """``grade_id`` → source of each answer cell. Of doubled cells the first counts."""
    found: dict[str, str] = {}
    for cell in notebook.cells:
        name = grade_id(cell)
        if name is not None and is_answer(cell):
            found.setdefault(name, cell.source)
    return found


def spliced(pristine: Notebook, answers: dict[str, str]) -> Notebook:
    """The pristine notebook with a learner's answers in it. Everything else of theirs stays outside."""
    made = copied(pristine)
    for cell in made.cells:
        name = grade_id(cell)
        if is_answer(cell) and name in answers:
            cell.source = answers[name]
    return made


def merged(pristine: Notebook, theirs: Notebook) -> Notebook:
    """A newer pristine notebook with everything a learner has written into an older one.

    Answers go into their cells; cells of their own stay behind the cell they came after. An answer whose cell is
    gone from the course stays as a cell of their own.
    """
    made = spliced(pristine, answers_of(theirs))
    ours = {grade_id(cell) for cell in pristine.cells}
    own: dict[str | None, list[Any]] = {}
    after, seen = None, set()
    for cell in copied(theirs).cells:
        name = grade_id(cell)
        doubled = name in seen and is_answer(cell)
        seen.add(name)
        if name in ours and not doubled:
            after = name
        elif name is None or is_answer(cell):
            cell.metadata.pop("nbgrader", None)
            own.setdefault(after, []).append(cell)
    made.cells = [*own.get(None, []), *(one for cell in made.cells for one in [cell, *own.get(grade_id(cell), [])])]
    return made


def is_tampered(pristine: Notebook, theirs: Notebook) -> bool:
    """Whether a locked cell was edited, deleted, doubled or moved. Answers and a learner's own cells are free."""

    def locked(notebook: Notebook) -> list[tuple[str | None, str]]:
        return [(grade_id(c), c.source) for c in notebook.cells if grade_id(c) is not None and not is_answer(c)]

    return locked(pristine) != locked(theirs)
