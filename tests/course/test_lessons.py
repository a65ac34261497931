"""What the lessons quote is what the code says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "course" / "lessons").glob("*.md"))
QUOTE = re.compile(r"<!-- quote: (\S+?):(\S+) -->\n```(?:python|lua)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:core|model|api|adapters|services)/\w+\.py|settings\.py|logs\.py|app\.py)`")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.name)
def test_quoted_code_is_in_the_source(lesson: Path) -> None:
    """Every marked quote stands word for word in the file it names."""
    for file, name, code in QUOTE.findall(lesson.read_text()):
        assert code in (ROOT / file).read_text(), f"{name} in {file} has changed"


def test_quotes_are_found_at_all() -> None:
    """The pattern above finds something: a test of nothing would pass for ever."""
    assert sum(len(QUOTE.findall(lesson.read_text())) for lesson in LESSONS) >= 2


@pytest.mark.parametrize(
    "page", [*LESSONS, ROOT / "README.md", ROOT / "reference_impl/README.md"], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links point to files that exist."""
    for target in LINK.findall(page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [ROOT / "course/lessons/errata.md", ROOT / "reference_impl/README.md"], ids=str)
def test_named_files_exist(page: Path) -> None:
    """Every file of the server that a table names is there."""
    named = PATH.findall(page.read_text())
    assert len(named) > 10
    for name in named:
        assert (ROOT / "reference_impl" / name).exists(), name


def test_glossary_words_are_where_they_are_said_to_be() -> None:
    """Each word is used in every chapter that its row names: in the lesson or in the notebook."""
    page = ROOT / "course" / "lessons" / "glossary.md"
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", page.read_text(), re.MULTILINE)
    assert len(rows) > 50
    for title, meaning, see in rows:
        assert meaning.endswith((".", ":")), title
        words = [word.strip(" `") for word in re.sub(r"\(.*?\)", "", title).split(",")]
        for target in LINK.findall(see):
            if target.endswith(".md"):
                notebook = ROOT / "notebooks" / target.replace(".md", ".ipynb")
                text = (page.parent / target).read_text() + notebook.read_text()
                assert any(word.lower() in text.lower() for word in words), f"{title} is not in {target}"
    assert [title.strip("`").lower() for title, *_ in rows] == sorted(title.strip("`").lower() for title, *_ in rows)
