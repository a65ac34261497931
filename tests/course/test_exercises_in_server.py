"""The checks that run a learner's class in the real server: the solution passes, the stub never gets there."""

from pathlib import Path
from typing import Any

import pytest

from course.checks.check import check
from course.workbench.cluster import Cluster
from tests.course.answers import IN_SERVER, WRONG_IN_SERVER, assert_caught, failure_of, solution, stub


@pytest.mark.parametrize("check_id", IN_SERVER)
def test_the_solution_passes_in_the_server(check_id: str) -> None:
    """Our own answer, in real instances, over real sockets."""
    assert failure_of(check_id, solution(check_id), seed=2) is None


@pytest.mark.parametrize("check_id", IN_SERVER)
def test_a_stub_is_told_so_without_a_server(
    check_id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for servers to hear that nothing is written yet."""

    def starts(*_: Any, **__: Any) -> None:
        raise AssertionError("a server was started for a stub")

    monkeypatch.setattr(Cluster, "start", starts)
    check(check_id, stub(check_id))
    assert "Not finished yet" in capsys.readouterr().out


@pytest.mark.parametrize("path", WRONG_IN_SERVER, ids=lambda path: path.stem)
def test_a_wrong_answer_is_caught_in_the_server(path: Path) -> None:
    """What only the real server shows."""
    assert_caught(path)
