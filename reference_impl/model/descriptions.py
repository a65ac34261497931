"""What the source says about classes and their fields, for the documents that are made from them."""

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent
from types import MappingProxyType


@cache
def field_descriptions(described: type) -> MappingProxyType[str, str]:
    """Field or member → the text under it in the source of ``described``; none for those without one.

    Empty where there is no source to read.
    """
    try:
        (tree,) = ast.parse(dedent(inspect.getsource(described))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return MappingProxyType({})
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found: dict[str, str] = {}
    for statement, after in pairwise(body):
        if (name := _assigned(statement)) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[name] = plain(str(after.value.value))
    return MappingProxyType(found)


def plain(docstring: str) -> str:
    """A docstring as Markdown: single backticks, no indentation."""
    return inspect.cleandoc(docstring).replace("``", "`")


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return None
