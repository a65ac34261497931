"""`course bench`, whole, with the shortest of plans."""

import json
from pathlib import Path

import psutil
import pytest

from benchmarks.command import run
from benchmarks.plan import Plan, Scenario


@pytest.mark.long
def test_ours_and_the_floor_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost, doubled or out of order; the figures are there; no process stays."""
    before = set(psutil.Process().children(recursive=True))
    plan = Plan((Scenario(2, 3, 1),), rounds=1, warm_up_s=0.05, seconds=0.1, idle=None)
    code = run(plan=plan, only=("ours", "floor"), out=tmp_path)
    shown = capsys.readouterr().out
    assert code == 0, shown
    found = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert found["problems"] == []
    rounds = {one["system"]: one for one in found["rounds"]}
    assert set(rounds) == {"ours", "floor"}
    for one in rounds.values():
        assert one["messages"] > 0
        assert one["deliveries"] >= 3 * one["messages"]
        assert one["server_us"] > 0
        assert one["redis_commands"] > 0
    assert rounds["floor"]["deliveries"] == 3 * rounds["floor"]["messages"]
    assert set(psutil.Process().children(recursive=True)) <= before
