"""``python -m tests.fuzz [--seed N] [--minutes M]``: nonsense at both doors, for as long as you like."""

import argparse
import asyncio
import sys
from random import SystemRandom

from tests.fuzz.run import fuzz


def main() -> int:
    """0 when all is well, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6), help="what all of it follows from")
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}, {options.minutes:g} minutes\n")
    run = asyncio.run(fuzz(options.seed, options.minutes * 60))
    for name, count in sorted(run.done.items()):
        sys.stdout.write(f"{count:8} {name}\n")
    for failure in run.failures[:20]:
        sys.stdout.write(f"FAILED: {failure}\n")
    sys.stdout.write("all is well\n" if not run.failures else f"{len(run.failures)} failures\n")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
