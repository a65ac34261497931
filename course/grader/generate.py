"""Writes ``exercises/`` from ``solutions/``: ``python -m course.grader.generate``.

What a learner has written into answer cells of an exercise that is there already is kept.
"""

import sys
from pathlib import Path

from course.grader.notebooks import Notebook, answers_of, read, spliced, stub_of, write
from course.manifest import ROOT, load


def exercise(name: str, current: Path | None = None) -> Notebook:
    """The learner's notebook of a chapter, with the answers from ``current`` if that is there."""
    stub = stub_of(read(ROOT / "solutions" / f"{name}.ipynb"))
    if current is None or not current.exists():
        return stub
    return spliced(stub, answers_of(read(current)))


def main() -> int:
    """Writes all of them."""
    for chapter in load().chapters:
        path = ROOT / "exercises" / f"{chapter.name}.ipynb"
        write(exercise(chapter.name, path), path)
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
