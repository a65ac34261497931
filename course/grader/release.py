"""``course release``: the student's copy. No solutions, no tests; what a learner has written in an older copy stays."""

import hashlib
import json
import shutil
from pathlib import Path

from rich.console import Console

from course.capstone import starter
from course.errors import UserError
from course.grader.generate import exercise
from course.grader.notebooks import text_of
from course.grader.store import write_whole
from course.manifest import ROOT, load

LIST = ".release.json"
FILES = (
    "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "requirements.lock", "environment.yml",
    ".gitignore",
)  # fmt: skip
FOLDERS = ("course", "reference_impl", "notebooks", "docs", "deploy")
NOT_FOR_STUDENTS = ("__pycache__", ".ipynb_checkpoints", "pristine")
console = Console(soft_wrap=True)


def run_release(out: Path) -> int:
    """Writes or updates the copy in ``out``. Raises ``UserError``."""
    if not (ROOT / "solutions").is_dir():
        raise UserError("this is a student's copy itself: release from the instructor's one")
    if out.resolve().is_relative_to(ROOT) and out.resolve() != ROOT / "dist" and _is_ours(out.resolve()):
        raise UserError(f"--out {out} is a part of the course: choose a folder of its own")
    known = _known(out)
    kept = []
    fresh = {str(path.relative_to(ROOT)): path.read_bytes() for path in _files()}
    for chapter in load().chapters:
        stub = text_of(exercise(chapter.name)) + "\n"
        fresh[f"course/pristine/{chapter.name}.ipynb"] = stub.encode()
    for name, text in ((starter.FILE, starter.starter()), (starter.README, starter.readme())):
        fresh[f"course/pristine/{starter.FOLDER}/{name}"] = text.encode()
    for name, content in fresh.items():
        kept += _put(out / name, content, known.get(name), out)
    for name in known.keys() - fresh.keys():
        _drop(out / name, known[name])
    for chapter in load().chapters:
        _put_exercise(out / "exercises" / f"{chapter.name}.ipynb", chapter.name)
    starter.put(out / "exercises" / starter.FOLDER)
    listed = {name: _digest(content) for name, content in fresh.items()}
    write_whole(out / LIST, json.dumps(listed, indent=1).encode())
    console.print(f"{out}: {len(load().chapters)} exercise notebooks, {len(fresh)} other files", markup=False)
    for path in kept:
        console.print(f"  changed by the learner, kept as {path}", markup=False)
    return 0


def _files() -> list[Path]:
    found = [ROOT / name for name in FILES if (ROOT / name).exists()]
    for folder in FOLDERS:
        found += [
            path
            for path in sorted((ROOT / folder).rglob("*"))
            if path.is_file() and not path.is_symlink() and not set(path.parts) & set(NOT_FOR_STUDENTS)
        ]
    return found


def _is_ours(out: Path) -> bool:
    first = out.relative_to(ROOT).parts[:1]
    return not first or first[0] in (*FOLDERS, "exercises", "solutions", "tests", "benchmarks", ".git", ".venv")


def _known(out: Path) -> dict[str, str]:
    """What an earlier release has written. Raises ``UserError`` when ``out`` is something else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not any(out.iterdir()):
            return {}
        known: dict[str, str] = json.loads((out / LIST).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"--out {out} is neither empty nor an earlier release") from error
    return known


def _put(path: Path, content: bytes, before: str | None, out: Path) -> list[Path]:
    """Writes a file. One that the learner has changed goes aside first."""
    aside = []
    if path.exists() and before is not None:
        there = path.read_bytes()
        if _digest(there) != before and there != content:
            kept = out / "kept" / path.relative_to(out)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
            aside = [kept]
        if there == content:
            return []
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return aside


def _put_exercise(path: Path, name: str) -> None:
    """The exercise, with the answers and the own cells of an earlier copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (text_of(exercise(name, path)) + "\n").encode())


def _drop(path: Path, before: str) -> None:
    if path.is_file() and _digest(path.read_bytes()) == before:
        path.unlink()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
