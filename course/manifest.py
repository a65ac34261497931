"""Reads ``manifest.toml``: chapters, exercises, checks."""

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from course.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
CAPSTONE = "capstone"


class CheckInfo(msgspec.Struct, frozen=True):
    """One graded property."""

    id: str
    title: str
    points: int
    hints: list[str]


class ExerciseInfo(msgspec.Struct, frozen=True):
    """One exercise; ``subject`` is what the learner defines.

    ``module`` is the file's name in ``course/checks`` (what runs a learner's code) and in ``course/judges``
    (the cases, and what is right).
    """

    number: int
    title: str
    subject: str
    module: str
    checks: list[CheckInfo]
    misconceptions: dict[str, str] = {}
    """Name → advice. What every exercise can show, is in the manifest's own list."""

    @property
    def label(self) -> str:
        """What it is called in a table: its number, or ``capstone``."""
        return str(self.number) if self.number else CAPSTONE


class ChapterInfo(msgspec.Struct, frozen=True):
    """One chapter; ``name`` is that of its notebook, lesson, exercise and solution."""

    number: int
    name: str
    title: str
    exercises: list[ExerciseInfo]

    @property
    def checks(self) -> list[CheckInfo]:
        """All checks of the chapter, in order."""
        return [check for exercise in self.exercises for check in exercise.checks]

    @property
    def heading(self) -> str:
        """Number and title, as people read it."""
        return f"{self.number} {self.title}" if self.number else self.title

    @property
    def is_capstone(self) -> bool:
        """Whether it is the server of the learner's own, and no notebook."""
        return self.name == CAPSTONE


class LevelInfo(msgspec.Struct, frozen=True):
    """One level of the capstone: checks of ``course conform`` by name, asked of so many ``instances``."""

    number: int
    title: str
    points: int
    instances: int
    checks: list[str]
    hints: list[str]

    @property
    def id(self) -> str:
        """Its name in tables and on the command line."""
        return f"{CAPSTONE}.{self.number}"


class CapstoneInfo(msgspec.Struct, frozen=True):
    """A server of the learner's own. ``counts``: whether its points are part of a class's percent."""

    title: str
    counts: bool
    levels: list[LevelInfo]

    def level(self, number: int) -> LevelInfo:
        """The level with this number. Raises ``UserError``."""
        for level in self.levels:
            if level.number == number:
                return level
        raise UserError(
            f"there is no level {number}; the levels are {', '.join(str(one.number) for one in self.levels)}"
        )

    def as_chapter(self) -> ChapterInfo:
        """As tables and pages see it: a chapter with one exercise, and a check for each level."""
        checks = [CheckInfo(level.id, level.title, level.points, level.hints) for level in self.levels]
        return ChapterInfo(0, CAPSTONE, self.title, [ExerciseInfo(0, self.title, "app", CAPSTONE, checks)])


class Manifest(msgspec.Struct, frozen=True):
    """The course."""

    chapters: list[ChapterInfo]
    capstone: CapstoneInfo
    common_misconceptions: dict[str, str]

    def advice(self, check_id: str, misconception: str) -> str:
        """What to tell somebody whose answer to this check shows it; empty for none and for an unknown one."""
        exercise, _ = self.find(check_id)
        return exercise.misconceptions.get(misconception) or self.common_misconceptions.get(misconception, "")

    def chapter(self, number: int) -> ChapterInfo:
        """The chapter with this number. Raises ``UserError``."""
        for chapter in self.chapters:
            if chapter.number == number:
                return chapter
        known = ", ".join(str(chapter.number) for chapter in self.chapters)
        raise UserError(f"there is no chapter {number} with exercises; there is {known}")

    def find(self, check_id: str) -> tuple[ExerciseInfo, CheckInfo]:
        """The check with this id, and its exercise. Raises ``UserError``."""
        everything = [*self.chapters, self.capstone.as_chapter()]
        for chapter in everything:
            for exercise in chapter.exercises:
                for check in exercise.checks:
                    if check.id == check_id:
                        return exercise, check
        known = ", ".join(check.id for chapter in everything for check in chapter.checks)
        raise UserError(f"there is no check {check_id!r}; the checks are {known}")


@cache
def load() -> Manifest:
    """The course's manifest."""
    return msgspec.convert(tomllib.loads((ROOT / "course" / "manifest.toml").read_text()), Manifest)
