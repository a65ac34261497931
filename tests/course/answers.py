"""The exercises' answers, ours and the learners', for tests: what they define, and what is wrong with it."""

import random
import runpy
from pathlib import Path
from typing import Any

from course.checks.case import judge_all, starts_servers
from course.checks.check import find_check, find_driver
from course.checks.drive import drive_in_thread
from course.grader.generate import exercise
from course.grader.notebooks import Notebook, answers_of, read
from course.manifest import ROOT, load

CHECKS = [found.id for chapter in load().chapters for found in chapter.checks]
IN_SERVER = [check_id for check_id in CHECKS if starts_servers(find_driver(check_id))]
QUICK = [check_id for check_id in CHECKS if check_id not in IN_SERVER]
WRONG = sorted((Path(__file__).parent / "wrong_answers").glob("*.py"))
WRONG_IN_SERVER = [path for path in WRONG if runpy.run_path(str(path))["CAUGHT_BY"] in IN_SERVER]


def solution(check_id: str) -> Any:
    """What the solution's notebook defines for a check."""
    return _defined(check_id, read(ROOT / "solutions" / f"{_chapter(check_id)}.ipynb"))


def stub(check_id: str) -> Any:
    """What is handed out for it; None where that defines nothing of the name."""
    return _defined(check_id, exercise(_chapter(check_id)))


def failure_of(check_id: str, subject: Any, seed: int) -> Any:
    """The first failure in the cases of a seed; None when all is right."""
    found = find_check(check_id)
    cases = found.cases(random.Random(seed))
    return judge_all(found, cases, drive_in_thread(find_driver(check_id), subject, cases))


def assert_caught(path: Path) -> None:
    """A wrong answer fails its check under the name it should; it shows a short case, and there is advice."""
    wrong = runpy.run_path(str(path))
    info, _ = load().find(wrong["CAUGHT_BY"])
    failure = failure_of(wrong["CAUGHT_BY"], wrong[info.subject], seed=2)
    assert failure is not None
    assert failure.misconception == wrong["MISCONCEPTION"], failure
    assert failure.steps
    assert load().advice(wrong["CAUGHT_BY"], failure.misconception)


def _chapter(check_id: str) -> str:
    (chapter,) = [c for c in load().chapters if check_id in {one.id for one in c.checks}]
    return chapter.name


def _defined(check_id: str, notebook: Notebook) -> Any:
    namespace: dict[str, Any] = {}
    for name, source in answers_of(notebook).items():
        if name.startswith("answer-"):
            exec(source, namespace)  # noqa: S102 - our own solution or stub
    return namespace.get(load().find(check_id)[0].subject)
