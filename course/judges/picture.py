"""Draws a failing case: step by step what is right, what came, and where the two part."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, ROW, LEFT, RIGHT, THEIRS = 560, 34, 34, 282, 422
LONGEST = {LEFT: 28, RIGHT: 16, THEIRS: 16}
"""Characters that fit into a column."""


class Line(NamedTuple):
    """One step of the case."""

    step: str
    right: str
    theirs: str


def compared(lines: Sequence[Line], right: str, theirs: str) -> str:
    """The steps as SVG; ``right`` and ``theirs`` are the headings. The last step is the one that is wrong."""
    height = ROW * (len(lines) + 1) + 8
    parts = [_text(RIGHT, 20, right, head=True), _text(THEIRS, 20, theirs, head=True)]
    for number, line in enumerate(lines, start=1):
        y, last = ROW * number + 20, number == len(lines)
        if last:
            place = f'x="0" y="{y - 22}" width="{WIDTH}" height="{ROW}" rx="6"'
            parts.append(f'<rect {place} fill="var(--bad, #b33)" opacity="0.12"/>')
        else:
            parts.append(
                f'<line x1="14" y1="{y + 5}" x2="14" y2="{y + ROW - 18}" stroke="currentColor" opacity="0.3"/>'
            )
        colour = "var(--bad, #b33)" if last else "currentColor"
        parts.append(f'<circle cx="14" cy="{y - 5}" r="9" fill="none" stroke="{colour}" opacity="0.8"/>')
        parts.append(f'<text x="14" y="{y - 1}" font-size="11" text-anchor="middle">{number}</text>')
        parts += [_text(LEFT, y, line.step), _text(RIGHT, y, line.right), _text(THEIRS, y, line.theirs, strong=last)]
    label = escape(" → ".join(line.step for line in lines), {'"': "&quot;"})
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _text(x: int, y: int, text: str, *, head: bool = False, strong: bool = False) -> str:
    short = text if len(text) <= LONGEST[x] else text[: LONGEST[x] - 1] + "…"
    style = 'font-size="13" opacity="0.7"' if head else 'font-size="14" font-family="monospace"'
    weight = ' font-weight="700"' if strong else ""
    whole = f"<title>{escape(text)}</title>" if short != text else ""
    return f'<text x="{x}" y="{y}" {style}{weight}>{escape(short)}{whole}</text>'
