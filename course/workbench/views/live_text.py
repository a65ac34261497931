"""The story as a text table and as a Mermaid diagram."""

from collections.abc import Callable

from course.workbench.views.rows import Lane
from course.workbench.views.story import Line

FAULT, MISSING = "rgba(210, 153, 34, 0.25)", "rgba(207, 34, 46, 0.2)"
"""Mermaid's way to mark a line: a coloured band, seen on light and dark pages."""

NOTHING = "nothing has happened yet"


def as_table(lines: list[Line], label: Callable[[str], str]) -> str:
    """One line a row: when, from where, to where, what."""
    if not lines:
        return NOTHING
    width = max(len(label(lane)) for line in lines for lane in (line.source, line.target))
    return "\n".join(_table_line(line, label, width) for line in lines)


def _table_line(line: Line, label: Callable[[str], str], width: int) -> str:
    if line.phase == "fold":
        return f"{'':>11}  {line.what}"
    when = "never" if line.at is None else f"{line.at:.2f} ms"
    if line.phase == "fault":
        sign = "⚡"
    elif line.phase == "missing" and line.source != line.target:
        sign = "✗"
    else:
        sign = "·" if line.source == line.target else "→"
    target = "" if line.source == line.target else label(line.target)
    return f"{when:>11}  {label(line.source):<{width}}  {sign}  {target:<{width}}  {line.what}".rstrip()


def as_mermaid(lanes: list[Lane], lines: list[Line]) -> str:
    """A ``sequenceDiagram``. It has no times: Mermaid has no place for them."""
    if not lines:
        return f"sequenceDiagram\n    participant p0 as Redis\n    Note over p0: {NOTHING}"
    names = {lane.id: f"p{number}" for number, lane in enumerate(lanes)}
    kind = {"client": "actor", "instance": "participant", "redis": "participant", "store": "participant"}
    shown = ["sequenceDiagram", *(f"    {kind[lane.kind]} {names[lane.id]} as {_safe(lane.label)}" for lane in lanes)]
    everybody = f"{names[lanes[0].id]},{names[lanes[-1].id]}" if len(lanes) > 1 else "".join(names.values())
    for line in lines:
        what = _safe(line.what)
        if line.phase == "fold":
            shown.append(f"    Note over {everybody}: {what}")
        elif line.phase == "fault":
            over = names[line.source] if line.source == line.target else f"{names[line.source]},{names[line.target]}"
            shown += [f"    rect {FAULT}", f"    Note over {over}: ⚡ {what}", "    end"]
        elif line.source == line.target:
            shown.append(f"    Note over {names[line.source]}: {what}")
        elif line.phase == "missing":
            shown += [f"    rect {MISSING}", f"    {names[line.source]}--x{names[line.target]}: {what}", "    end"]
        else:
            shown.append(f"    {names[line.source]}->>{names[line.target]}: {what}")
    return "\n".join(shown)


def _safe(text: str) -> str:
    """Without the characters that mean something to Mermaid or to the page that it is drawn on."""
    marked = {"#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "\n": " "}
    return "".join(marked.get(character, character) for character in text)
