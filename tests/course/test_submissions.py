"""Whatever is handed in has a status and a line that a beginner understands; nothing needs a kernel here."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from course.errors import UserError
from course.grader import submission
from course.grader.folder import printable, students_of
from course.grader.submission import Unreadable, parse, read_file
from course.grader.transplant import answers_for, tampered_cells
from tests.course.handed_in import CHAPTER, PRISTINE, SOLVED, content, graded_file, statuses

DEEP = b"[" * 100_000


def as_format_3(file: bytes) -> bytes:
    """The same notebook as IPython 2 wrote it."""
    notebook = json.loads(file)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["input"] = cell.pop("source")
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": notebook["cells"]}]}).encode()


@pytest.mark.parametrize(
    ("file", "status", "says"),
    [
        (b"", "missing", "the file is empty"),
        (b" \n", "missing", "the file is empty"),
        (bytes(range(256)), "crashed", "not even JSON"),
        (b"PK\x03\x04", "crashed", "not even JSON"),
        (DEEP, "crashed", "not even JSON"),
        (b"[1]", "crashed", "not a notebook"),
        (b'{"cells": []}', "crashed", "not a notebook"),
        (b'{"nbformat": 99, "cells": []}', "crashed", "format 99 is not known"),
        (b'{"nbformat": 4, "cells": 7}', "crashed", "has no cells"),
    ],
)
def test_what_is_no_notebook(file: bytes, status: str, says: str) -> None:
    """Empty is missing; anything else that can not be read is crashed, and says what to do or what it is."""
    with pytest.raises(Unreadable, match=says) as raised:
        parse(file)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.replace(b"\\n", b"\\r\\n"),
        lambda file: json.dumps(json.loads(file), indent=1).replace("\n", "\r\n").encode("utf-8-sig"),
        lambda file: file.decode().encode("utf-16"),
        as_format_3,
        lambda file: file.replace(b'"nbformat_minor": 5', b'"nbformat_minor": 9'),
        lambda file: file.replace(b'"cells": [', b'"cells": [null, 7, {"cell_type": 3, "source": [1, {}]}, '),
        lambda file: file.replace(b'"nbgrader"', b'"stripped"'),
    ],
    ids=["crlf in cells", "crlf and a mark", "utf-16", "format 3", "newer minor", "broken cells", "no metadata"],
)
def test_what_is_a_notebook_all_the_same(change: Any) -> None:
    """Line ends, byte order marks, older formats, dropped metadata: the answers are found."""
    found = answers_for(CHAPTER, PRISTINE, parse(change(content(SOLVED))))
    assert {number: answer.cells[f"answer-{number}"] for number, answer in found.items()} == {
        1: SOLVED["answer-1"],
        2: SOLVED["answer-2"],
    }
    assert all(answer.started and not answer.notes for answer in found.values())


def test_only_helpers_that_are_needed_come_along() -> None:
    """A cell that the answer uses, also through another one; no experiments; the class may be in one, too."""
    notebook = json.loads(content({"answer-2": "class Dispatcher:\n    limit = LIMIT"}))
    sources = [
        "LIMIT = base()",
        "def base(): return 3",
        "LOUD = print('an experiment')",
        "class ConnectionManager: pass",
    ]
    own = [{"cell_type": "code", "id": f"own{n}", "metadata": {}, "source": text} for n, text in enumerate(sources)]
    notebook["cells"] = own + notebook["cells"]
    found = answers_for(CHAPTER, PRISTINE, parse(json.dumps(notebook).encode()))
    assert found[2].before == sources[:2]
    assert found[1].before == sources[3:]
    assert found[1].started


def test_tampered_cells_are_named() -> None:
    """Edited, doubled and deleted locked cells; moving one, and cells of one's own, are free."""
    notebook = json.loads(content(SOLVED))
    by_id = {cell["id"]: cell for cell in notebook["cells"]}
    by_id["check-1-1"]["source"] = "print('passed')"
    notebook["cells"].remove(by_id["check-1-2"])
    notebook["cells"] = [*notebook["cells"][::-1], by_id["check-2-1"]]
    assert tampered_cells(PRISTINE, parse(json.dumps(notebook).encode())) == {
        "check-1-1": "edited", "check-1-2": "deleted", "check-2-1": "doubled",
    }  # fmt: skip
    assert not tampered_cells(PRISTINE, parse(content(SOLVED)))


def test_another_notebook_is_no_answer() -> None:
    """One that has nothing to do with the exercise is missing, not tampered with; so is one without cells."""
    for cells in ([], [{"cell_type": "code", "id": "x", "metadata": {}, "source": "1 + 1"}]):
        file = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()
        assert statuses(graded_file(file), 1) == statuses(graded_file(file), 2) == {"missing"}


def test_files_that_are_not_what_they_seem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links to elsewhere, folders, pipes, too large: each has its status, and nothing waits."""
    ann = tmp_path / "ann"
    ann.mkdir()
    (tmp_path / "bob.ipynb").write_bytes(content(SOLVED))
    (ann / "link.ipynb").symlink_to(tmp_path / "bob.ipynb")
    (ann / "inside.ipynb").symlink_to("real.ipynb")
    (ann / "real.ipynb").write_bytes(b"{}")
    (ann / "dangling.ipynb").symlink_to("nowhere")
    (ann / "folder.ipynb").mkdir()
    os.mkfifo(ann / "pipe.ipynb")
    (ann / "large.ipynb").write_bytes(b"x" * 2000)
    assert read_file(ann / "inside.ipynb", ann) == b"{}"
    monkeypatch.setattr(submission, "MAX_BYTES", 1000)
    for name, status, says in [
        ("link", "tampered", "outside of the submission"),
        ("dangling", "crashed", "can not be read"),
        ("folder", "crashed", "not a file|can not be read"),
        ("pipe", "crashed", "not a file"),
        ("large", "crashed", "clear all outputs"),
        ("nothing", "missing", "was not handed in"),
    ]:
        with pytest.raises(Unreadable, match=says) as raised:
            read_file(ann / f"{name}.ipynb", ann)
        assert raised.value.status == status, name


def test_both_layouts_and_strange_names(tmp_path: Path) -> None:
    """A folder a student, or nbgrader's; hidden folders and files are nobody; a linked folder is not followed."""
    for name in ("ann", "=cmd|calc", "李 雷", "a\nb", ".hidden", "__MACOSX"):
        (tmp_path / "one" / name).mkdir(parents=True)
    (tmp_path / "one" / "readme.txt").touch()
    (tmp_path / "one" / "linked").symlink_to(tmp_path / "one" / "ann")
    students = {student.name: student for student in students_of(tmp_path / "one")}
    assert sorted(students) == ["=cmd|calc", "ann", "a�b", "linked", "李 雷"]
    with pytest.raises(Unreadable, match="a link to another place"):
        students["linked"].content("01_basics")
    for assignment, text in [("old", b"1"), ("new", b"2")]:
        path = tmp_path / "two" / "submitted" / "bob" / assignment / "01_basics.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
        os.utime(path.parent, (1, 1 if assignment == "old" else 2))
    for place in ("two", "two/submitted"):
        (bob,) = students_of(tmp_path / place)
        assert (bob.name, bob.content("01_basics")) == ("bob", b"2")
    (tmp_path / "one" / "ann" / "01_basics (1).ipynb").touch()
    with pytest.raises(Unreadable, match=r"there is '01_basics \(1\).ipynb': is that it"):
        students["ann"].content("01_basics")
    assert printable("\udcff\x1b[31m") == "�[31m".replace("�", "��")


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_no_submissions_is_one_line(tmp_path: Path, name: str) -> None:
    """A folder that is not there, is none, or has nobody in it."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="folder"):
        students_of(tmp_path / name)
