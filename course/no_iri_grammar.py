"""Spares a process a second of CPU: the grammar of international web addresses, which nothing here reads.

Notebooks are checked by ``jsonschema``. Where the package ``rfc3987_syntax`` is installed, and JupyterLab brings it,
importing ``jsonschema`` builds a parser of all of Unicode, for the formats ``iri`` and ``iri-reference``. Without it
``jsonschema`` leaves these two unchecked; no schema of ours, of notebooks or of Jupyter names them.

Import this before ``nbformat`` or ``jsonschema``. As a pytest plugin, ``-p course.no_iri_grammar``, it comes first.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # to import it fails, as if it were not there
