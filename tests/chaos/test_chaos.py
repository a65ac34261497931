"""Everything breaks, and nothing is lost. The long run: ``pytest -m long``, or ``python -m tests.chaos``."""

from typing import Any

import pytest

from course.workbench.postgres_server import PostgresServer
from tests.chaos.client import ChaosClient
from tests.chaos.run import Plan, Report, run_chaos
from tests.chaos.target import PlainTarget, ReferenceTarget, Target
from tests.frame_check import CHECKER

SHORT = Plan(seed=7, clients=12, messages=400, conversations=2, per_second=40)
LONG = {"clients": 200, "messages": 5000, "conversations": 8, "rounds": 3}


async def report_of(target: Target, plan: Plan) -> Report:
    async with target:
        return await run_chaos(target, plan)


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Frames that were not as ``/asyncapi.json`` has it, in the worst of times, too."""
    found: list[str] = []
    take = ChaosClient._take

    async def check(self: ChaosClient, socket: Any, frame: dict[str, Any]) -> None:
        if (complaint := CHECKER.complaint_about_received(frame)) is not None:
            found.append(complaint)
        await take(self, socket, frame)

    monkeypatch.setattr(ChaosClient, "_take", check)
    return found


async def test_nothing_is_lost(complaints: list[str]) -> None:
    """Instances die on the way of a message, links break, Redis hangs and forgets, clients come and go: every
    member sees every acked message once, in order, and the store has no hole.
    """
    report = await report_of(ReferenceTarget(SHORT.instances), SHORT)
    assert report.is_clean, report
    assert report.verdict.acked == SHORT.messages
    assert report.snapshots == 0, "so little is missing that it can be sent"
    assert len(report.faults) == 15
    assert report.dropped_frames > 0
    assert complaints == []


@pytest.mark.long
async def test_the_control_loses() -> None:
    """The same schedule on plain pub/sub: the run that finds nothing on the one finds losses on the other."""
    report = await report_of(PlainTarget(SHORT.instances), SHORT)
    assert len(report.faults) == 15
    assert report.verdict.count("lost") > 0, report
    assert report.verdict.count("phantom") == 0, report


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost_for_long(seed: int) -> None:
    """Two hundred clients, five thousand messages, each kind of fault three times."""
    report = await report_of(ReferenceTarget(2), Plan(seed=seed, **LONG))
    assert report.is_clean, report


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nothing_is_lost_for_long_over_postgres(postgres_server: PostgresServer) -> None:
    """The same over PostgreSQL."""
    target = ReferenceTarget(2, database_url=await postgres_server.create_database())
    report = await report_of(target, Plan(seed=4, **LONG))
    assert report.is_clean, report
