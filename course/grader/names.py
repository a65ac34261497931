"""Environment variables between the grader and its pytest plugin."""

PIPE = "BREAKWIRE_RESULTS_FD"
CELL_TIMEOUT = "BREAKWIRE_CELL_TIMEOUT_S"
