"""What the exercises are graded by: cases, a driver that runs a learner's code, and a judge that never does."""
