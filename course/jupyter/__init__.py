"""JupyterLab as the course runs it: ``settings/`` is what the page reads, ``app.py`` is the server's process."""
