"""No growth over a day's worth of connects and disconnects, scaled down. The long one: ``pytest -m long``."""

import signal

import pytest

from course.workbench.postgres_server import PostgresServer
from tests.soak.leaks import FOUND_BY, LEAKS
from tests.soak.run import Plan, run_soak, slope_of

SHORT = Plan(visits=60, cycles=3, warm_up=1, bounds={"blocks": 100, "files": 0.5, "threads": 0.5})
LEAKING = Plan(visits=60, cycles=2, warm_up=1, bounds=SHORT.bounds | {"KiB": 0.2}, settle_s=1.5)
LONG = Plan(visits=1000, cycles=8, warm_up=3, bounds={"blocks": 2, "files": 0.01, "threads": 0.01, "KiB": 0.2})

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="Windows has no signal to ask an instance by")


async def test_nothing_grows() -> None:
    """Two instances: people come over sockets for one conversation and for all, sign in in every way, resume, talk,
    and say goodbye, vanish, or are sent away; strangers are refused. Then nothing is left of them.
    """
    soak = await run_soak(SHORT)
    assert soak.complaints == [], "\n".join(soak.complaints)


async def test_a_leak_is_found() -> None:
    """Each of the parts that keep something, by what it keeps."""
    soak = await run_soak(LEAKING, overrides=LEAKS)
    missed = [says for says in FOUND_BY if not any(says in complaint for complaint in soak.complaints)]
    assert missed == [], "\n".join(soak.complaints)


@pytest.mark.parametrize(("sizes", "slope"), [([5, 5, 5], 0), ([0, 10, 20], 10), ([0, 0, 900, 0, 0], 0)])
def test_one_odd_cycle_is_no_growth(sizes: list[int], slope: float) -> None:
    """What stays is measured, not what one cycle had."""
    assert slope_of(sizes) == slope


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("direct", ["on", "off"])
async def test_nothing_grows_for_long(direct: str, postgres_server: PostgresServer) -> None:
    """Eight thousand sockets, handed over to the server or through ASGI messages: less than 0.2 KiB for each.

    Over PostgreSQL: with SQLite the database's own cache, in the same process, grows with what people say, up to 2 MB
    for each of its connections.
    """
    database_url = await postgres_server.create_database()
    soak = await run_soak(LONG, settings={"DIRECT_SOCKETS": direct}, database_url=database_url)
    assert soak.complaints == [], soak.growth
