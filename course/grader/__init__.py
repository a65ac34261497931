"""Grading: a learner's answers in the pristine notebook, run by pytest and nbval in a process of its own."""
