"""Grading: a learner's answers in the pristine notebook, run by pytest and nbval in a process of its own."""

import course.no_iri_grammar  # noqa: F401 - before anything here imports nbformat
