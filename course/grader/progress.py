"""What a learner has reached, in one file that they can read: ``exercises/progress.json``."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.table import Table

from course.grader.run import Result
from course.grader.store import write_whole
from course.manifest import CAPSTONE, ROOT, CheckInfo, load

FILE = "progress.json"
MARKS = {"passed": "✓", "missing": "·"}
"""How a check's status is shown; what is not here has failed."""


class Reached(msgspec.Struct):
    """One check."""

    title: str
    status: str = "missing"
    points: int = 0
    of: int = 0
    tries: int = 0
    hints_seen: int = 0
    passed_at: str | None = None
    """UTC; the first time. It stays when a later try fails."""


class Progress:
    """All checks that have been tried."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            self.checks = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Reached])
        except (OSError, msgspec.MsgspecError):
            self.checks = {}

    def note(self, results: list[Result]) -> None:
        """Adds a try of each check that has been started."""
        for result in results:
            reached = self._of(result.check.id, result.check.title)
            if result.status == "missing" and not reached.tries:
                continue
            reached.status, reached.points, reached.of = result.status, result.points, result.check.points
            reached.tries += 1
            if result.status == "passed" and reached.passed_at is None:
                reached.passed_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._save()

    def next_hint(self, check_id: str, title: str, available: int) -> int:
        """The number of the hint to show now: one more than last time, up to the last."""
        reached = self._of(check_id, title)
        reached.hints_seen = min(reached.hints_seen + 1, available)
        self._save()
        return reached.hints_seen

    def has_passed(self, check_id: str) -> bool:
        """Whether it ever did."""
        return check_id in self.checks and self.checks[check_id].passed_at is not None

    def forget(self, check_ids: list[str]) -> None:
        """As if they had never been tried."""
        for check_id in check_ids:
            self.checks.pop(check_id, None)
        self._save()

    def _of(self, check_id: str, title: str) -> Reached:
        return self.checks.setdefault(check_id, Reached(title))

    def _save(self) -> None:
        ordered = {name: self.checks[name] for name in sorted(self.checks, key=_order)}
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n")


def table(folder: Path = ROOT / "exercises") -> Table:
    """Exercise by exercise: the points of the last ``course check``, and what to do next."""
    reached = Progress(folder).checks
    made = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "exercise", "points", "checks", "next"):
        made.add_column(column)
    for chapter in [*load().chapters, load().capstone.as_chapter()]:
        name = CAPSTONE if chapter.is_capstone else str(chapter.number)
        for exercise in chapter.exercises:
            number = "" if chapter.is_capstone else str(exercise.number)
            made.add_row(number, exercise.title, *_standing(name, exercise.checks, reached))
    return made


def _standing(chapter: str, checks: list[CheckInfo], reached: dict[str, Reached]) -> tuple[str, str, str]:
    mine = {check.id: reached.get(check.id, Reached(check.title)) for check in checks}
    points = sum(one.points for one in mine.values())
    marks = " ".join(MARKS.get(one.status, "✗") if one.tries else "·" for one in mine.values())
    left = next((check_id for check_id, one in mine.items() if one.status != "passed"), None)
    if left is None:
        says = "done"
    else:
        says = f"course check --hint {left}" if any(one.tries for one in mine.values()) else f"course check {chapter}"
    return f"{points} of {sum(check.points for check in checks)}", marks, says


def _order(check_id: str) -> list[int]:
    return [int(part) if part.isdigit() else 1000 for part in check_id.split(".")]
