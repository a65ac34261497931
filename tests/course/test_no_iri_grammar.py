"""A second of CPU that no process of the course spends."""

import subprocess
import sys

import jsonschema
import pytest
from jupyter_events.schema import EventSchema

from course.grader import process
from course.grader.notebooks import read
from course.manifest import ROOT

GRAMMAR = "rfc3987_syntax.syntax_helpers"


@pytest.mark.parametrize("module", ["course.grader.notebooks", "course.jupyter.app"])
def test_the_grammar_is_not_built(module: str) -> None:
    """Not by what reads notebooks, nor by JupyterLab; both have jsonschema."""
    look = f"import sys, {module}; print('jsonschema' in sys.modules, '{GRAMMAR}' in sys.modules)"
    seen = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert seen.stdout.split() == ["True", "False"], seen.stderr


def test_grading_loads_it_first() -> None:
    """Before nbval, which imports nbformat; and this pytest has it, too."""
    notebook = read(next((ROOT / "notebooks").glob("*.ipynb")))
    order = process._order(notebook, {}, 0, process.Limits()).decode()
    assert 0 < order.index("course.no_iri_grammar") < order.index("nbval.plugin")
    assert GRAMMAR not in sys.modules


def test_everything_else_is_checked() -> None:
    """Other formats, and the schemas of Jupyter's events."""
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    says = {
        name: jsonschema.Draft7Validator({"format": name}, format_checker=checker).is_valid("no such thing")
        for name in ("uri", "date-time", "email", "iri")
    }
    assert says == {"uri": False, "date-time": False, "email": False, "iri": True}
    event = {"$id": "https://example.org/event", "version": "1", "title": "E", "type": "object", "properties": {}}
    assert EventSchema(event).id == event["$id"]
    with pytest.raises(jsonschema.ValidationError):
        EventSchema(event | {"$id": "no such thing"})
