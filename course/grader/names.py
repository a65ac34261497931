"""What the grader, its sandbox and its pytest plugin call the same."""

import enum

PIPE = "BREAKWIRE_RESULTS_FD"
CELL_TIMEOUT = "BREAKWIRE_CELL_TIMEOUT_S"


class Ended(enum.IntEnum):
    """How a run ended, as an exit code."""

    FINISHED = 0
    NOT_POSSIBLE = 10
    OUT_OF_MEMORY = 11
    TOO_MANY_PROCESSES = 12
    OWNER_GONE = 13
