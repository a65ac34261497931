"""Several instances, one new database."""

import multiprocessing
import sqlite3
from multiprocessing.synchronize import Barrier
from pathlib import Path

from reference_impl.adapters.sql_sqlite import _switch_to_wal

PROCESSES, ROUNDS = 4, 40


def _switch(everybody: Barrier, path: str, failures: "multiprocessing.Queue[str]") -> None:
    everybody.wait(30)
    try:
        _switch_to_wal(path)
    except Exception as error:  # noqa: BLE001 - the parent reports it
        failures.put(repr(error))


def test_instances_that_start_at_once_all_open_the_database(tmp_path: Path) -> None:
    """Four processes switch a new file to WAL in the same moment, forty times, and none fails.

    Without trying again, about one in four rounds fails with "database is locked".
    """
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    everybody = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=_rounds, args=(everybody, str(tmp_path), failures), daemon=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert failures.empty()
    with sqlite3.connect(tmp_path / "0.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def _rounds(everybody: Barrier, folder: str, failures: "multiprocessing.Queue[str]") -> None:
    for number in range(ROUNDS):
        _switch(everybody, f"{folder}/{number}.db", failures)
