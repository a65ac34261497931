"""Errors speak to people."""

import pytest
from IPython.core.interactiveshell import InteractiveShell


def test_a_user_error_in_a_notebook_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """IPython shows the message and no traceback."""
    shell = InteractiveShell.instance()
    shell.run_cell(  # type: ignore[no-untyped-call]
        "from course.errors import UserError\nraise UserError('there is no instance 7; this lab has 0 to 1')"
    )
    InteractiveShell.clear_instance()
    shown = capsys.readouterr().out
    assert "there is no instance 7" in shown
    assert "Traceback" not in shown
