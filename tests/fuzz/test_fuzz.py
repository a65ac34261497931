"""A few seconds of nonsense at both doors. ``python -m tests.fuzz`` does it for minutes."""

from tests.fuzz.run import fuzz


async def test_nonsense_breaks_nothing() -> None:
    """No error of the server's own, no traceback, nothing left over, and the neighbours are served meanwhile."""
    run = await fuzz(seed=1, seconds=4)
    assert run.failures == [], f"after {run.done}"
    assert run.done["messages of neighbours"] > 0
    assert run.done["_frames"] > 0
    assert run.done["_requests"] > 0
