"""Parts of pages that programs write: figures are never typed."""

from course.errors import UserError


def begin(name: str) -> str:
    """The line before such a part."""
    return f"<!-- written by python -m benchmarks.{name} -->"


END = "<!-- end of what is written -->"


def rewritten(page: str, name: str, new: str) -> str:
    """The page with ``new`` between the two marks. Raises ``UserError`` where they are not there once."""
    before, mark, rest = page.partition(begin(name))
    _, end, after = rest.partition(END)
    if not mark or not end or begin(name) in after:
        raise UserError(f"the page needs the line {begin(name)} once, and after it {END}", 1)
    return f"{before}{mark}\n\n{new.strip()}\n\n{end}{after}"
