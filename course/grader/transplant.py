"""Takes a learner's answers out of what was handed in, with the cells of their own that they need."""

import ast
import builtins
import re
import symtable
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

from course.grader.notebooks import NBVAL_MARKER, Notebook, answers_of, grade_id, is_answer
from course.grader.submission import Cell
from course.manifest import ChapterInfo, ExerciseInfo

REACHES_INTO_GRADING = re.compile(
    r"course\s*\.\s*(?:checks|judges|grader|manifest)|from\s+course\s+import\s+(?:checks|judges|grader|manifest)"
    r"|BREAKWIRE_|evidence-|drive_for_grading|solutions/\w+\.ipynb"
)


class Answer(NamedTuple):
    """One exercise's code: the sources of its cells in the order in which they run, and what is to be said."""

    before: list[str]
    cells: dict[str, str]
    """``grade_id`` → source."""
    after: list[str]
    started: bool
    notes: list[str]
    reaches: str
    """What in it is the grader's own business; empty as it should be."""

    @property
    def text(self) -> str:
        """All of it, as it is shown beside the result."""
        return "\n\n\n".join(part for part in (*self.before, *self.cells.values(), *self.after) if part.strip())


def exercise_of(name: str) -> int:
    """The number of the exercise that a cell belongs to by its name: ``answer-2``, ``answer-2-b``; else 0."""
    found = re.match(r"answer-(\d+)", name)
    return int(found[1]) if found else 0


def answers_for(chapter: ChapterInfo, pristine: Notebook, theirs: list[Cell]) -> dict[int, Answer]:
    """Exercise number → what was handed in for it."""
    given = {cell.source for cell in pristine.cells}
    names = {grade_id(cell) for cell in pristine.cells}
    own = [
        (place, cell.source)
        for place, cell in enumerate(theirs)
        if cell.kind == "code" and cell.source not in given and (cell.name not in names or _is_doubled(theirs, place))
    ]
    return {exercise.number: _answer(exercise, pristine, theirs, own) for exercise in chapter.exercises}


def tampered_cells(pristine: Notebook, theirs: list[Cell]) -> dict[str, str]:
    """Locked cells that were edited, doubled or deleted, and which of that it was. Moving one changes nothing."""
    locked = {str(grade_id(cell)): cell.source.strip() for cell in pristine.cells if not is_answer(cell)}
    found: dict[str, list[str]] = {}
    for cell in theirs:
        found.setdefault(cell.name, []).append(cell.source.strip())
    return {name: _how(found.get(name, []), source) for name, source in locked.items() if found.get(name) != [source]}


def _how(found: list[str], source: str) -> str:
    if not found:
        return "deleted"
    return "doubled" if set(found) == {source} else "edited"


def _answer(exercise: ExerciseInfo, pristine: Notebook, theirs: list[Cell], own: list[tuple[int, str]]) -> Answer:
    stubs = {name: stub for name, stub in answers_of(pristine).items() if exercise_of(name) == exercise.number}
    notes, cells, place = [], {}, 0
    for name, stub in stubs.items():
        places = [number for number, cell in enumerate(theirs) if cell.name == name]
        if not places:
            notes.append(f"the answer cell {name} is gone")
            continue
        changed = [number for number in places if theirs[number].source.strip() != stub.strip()]
        if len(places) > 1:
            notes.append(f"the answer cell {name} is there {len(places)} times; the last one counts")
        place = (changed or places)[-1]
        cells[name] = NBVAL_MARKER.sub("# (marker removed)", theirs[place].source)
    last = max((n for n, c in enumerate(theirs) if c.name in _checks_of(exercise)), default=len(theirs))
    helpers = [one for one in own if one[0] != place and (one[0] < last or last < place)]
    written = any(source.strip() != stubs[name].strip() for name, source in cells.items())
    needed = _needed("\n".join(cells.values()) if written else "", exercise.subject, helpers)
    # With all of it in cells of their own, the stub would only define the same name again.
    sources = {name: source for name, source in cells.items() if source.strip() and (written or not needed)}
    everything = "\n".join([*sources.values(), *(source for _, source in needed)])
    reaches = REACHES_INTO_GRADING.search(everything)
    before = [source for number, source in needed if number < place]
    after = [source for number, source in needed if number > place]
    return Answer(before, sources, after, written or bool(needed), notes, reaches[0] if reaches else "")


def _checks_of(exercise: ExerciseInfo) -> set[str]:
    return {f"check-{check.id.replace('.', '-')}" for check in exercise.checks}


def _is_doubled(theirs: list[Cell], place: int) -> bool:
    """Whether the same answer cell comes again: an earlier one is a cell of their own, then."""
    name = theirs[place].name
    return exercise_of(name) > 0 and any(cell.name == name for cell in theirs[place + 1 :])


def _needed(answer: str, subject: str, own: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those of their own cells that define what the answer uses, or the exercise's subject; also indirectly."""
    chosen: set[int] = set()
    wanted = _used(answer) - _defined(answer) | ({subject} - _defined(answer))
    while True:
        new = [n for n, (_, source) in enumerate(own) if n not in chosen and _defined(source) & wanted]
        if not new:
            return [own[n] for n in sorted(chosen)]
        for n in new:
            chosen.add(n)
            wanted |= _used(own[n][1])


def _used(source: str) -> set[str]:
    try:
        tree = ast.parse(_plain(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(dir(builtins))


def _defined(source: str) -> set[str]:
    """The names that a cell binds."""
    try:
        table = symtable.symtable(_plain(source), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def _plain(source: str) -> str:
    """Without IPython's own syntax, such as ``%timeit``."""
    try:
        return str(TransformerManager().transform_cell(source))  # type: ignore[no-untyped-call]
    except (SyntaxError, ValueError, RecursionError):
        return source
