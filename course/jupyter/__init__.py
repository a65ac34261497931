"""JupyterLab as the course runs it: ``settings/`` is what the page reads, ``app.py`` is the server's process."""

import course.no_iri_grammar  # noqa: F401 - before anything here imports nbformat
