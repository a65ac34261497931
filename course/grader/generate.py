"""Writes ``exercises/`` from ``solutions/``: ``python -m course.grader.generate``.

What a learner has written into an exercise that is there already is kept: answers, and cells of their own; of the
capstone, the whole file.
"""

import sys
from pathlib import Path

from course.capstone import starter
from course.grader.notebooks import Notebook, merged, read, stub_of, write
from course.manifest import ROOT, load


def exercise(name: str, current: Path | None = None) -> Notebook:
    """The learner's notebook of a chapter, with what was written into ``current`` if that is there."""
    solution = ROOT / "solutions" / f"{name}.ipynb"
    # A student's copy has no solutions; there, the notebook as it was handed out lies ready.
    stub = stub_of(read(solution)) if solution.exists() else read(ROOT / "course" / "pristine" / f"{name}.ipynb")
    if current is None or not current.exists():
        return stub
    return merged(stub, read(current))


def main() -> int:
    """Writes all of them."""
    for chapter in load().chapters:
        path = ROOT / "exercises" / f"{chapter.name}.ipynb"
        write(exercise(chapter.name, path), path)
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    starter.put(ROOT / "exercises" / starter.FOLDER)
    sys.stdout.write(f"exercises/{starter.FOLDER}/{starter.FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
