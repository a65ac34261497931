"""Writes the learner's starter from our solution, and never over what they have written.

Between BEGIN and END SOLUTION is what they do not get. Inside a function, a region with a level's number becomes a
``NotImplementedError`` that names it; between functions, a comment. A region without a number just goes.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

from course.grader.store import write_whole
from course.manifest import ROOT, LevelInfo, load

FOLDER = "capstone"
FILE = "chat_server.py"
README = "README.md"
REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION ?(\d*)\n.*?^[ \t]*### END SOLUTION\n", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"# As handed out: (\w+)\n\Z")
LEVELS = "<!-- levels -->\n"


@cache
def starter() -> str:
    """The starter, as it is handed out now."""
    solution = ROOT / "solutions" / FOLDER / FILE
    if not solution.exists():  # a student's copy
        return (ROOT / "course" / "pristine" / FOLDER / FILE).read_text(encoding="utf-8")
    made = REGION.sub(_stub, solution.read_text(encoding="utf-8"))
    return _marked(re.sub(r"\n{4,}", "\n\n\n", made))


def _stub(region: "re.Match[str]") -> str:
    indent, level = region[1], region[2]
    if not level:
        return ""
    return (
        f'{indent}raise NotImplementedError("level {level}")\n' if indent else f"# Level {level}: your code here.\n\n\n"
    )


def _marked(text: str) -> str:
    """With a last line by which a file that nobody has changed can be told from one that somebody has."""
    return f"{text.rstrip()}\n\n# As handed out: {_digest(text)}\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()[:12]


def is_untouched(text: str) -> bool:
    """Whether a file is as some version of the course has handed it out."""
    found = MARK.search(text)
    return found is not None and found[1] == _digest(text[: found.start()])


def readme() -> str:
    """The task, with the manifest's levels in it."""
    solution = ROOT / "solutions" / FOLDER / README
    if not solution.exists():
        return (ROOT / "course" / "pristine" / FOLDER / README).read_text(encoding="utf-8")
    levels = "\n".join(_described(level) for level in load().capstone.levels)
    return solution.read_text(encoding="utf-8").replace(LEVELS, levels)


def _described(level: LevelInfo) -> str:
    from course.capstone.judge import CHECKS  # noqa: PLC0415 - only who writes the files needs the checks

    servers = "one instance" if level.instances == 1 else f"{level.instances} instances"
    rows = "\n".join(f"| `{name}` | {CHECKS[name].says} |" for name in level.checks)
    head = f"### {level.number} {level.title} ({level.points} points, {servers})"
    return f"{head}\n\n| check | the promise |\n|---|---|\n{rows}\n"


def put(folder: Path) -> None:
    """Writes both files into ``folder``. A ``chat_server.py`` that somebody has changed stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / README, readme().encode())
    path = folder / FILE
    if not path.exists() or is_untouched(path.read_text(encoding="utf-8", errors="replace")):
        write_whole(path, starter().encode())
