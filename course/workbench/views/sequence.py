"""A sequence diagram: lanes, arrows from lane to lane, and what happens on a lane. As SVG and as text."""

from html import escape
from typing import NamedTuple

WIDTH = 820
TIME_COLUMN = 76
HEAD, ROW, FOOT = 58, 30, 16
FONT = "font-family='system-ui, sans-serif' font-size='12'"
COLOURS = {
    "send": "#1f6feb",
    "store": "#8250df",
    "publish": "#bc4c00",
    "deliver": "#1a7f37",
    "local": "#57606a",
    "missing": "#cf222e",
}


class Step(NamedTuple):
    """One row. ``at`` is milliseconds since the start, None for what did not happen."""

    at: float | None
    source: str
    target: str
    what: str
    phase: str


def as_text(steps: list[Step]) -> str:
    """The rows as a table."""
    if not steps:
        return "no hops recorded"
    rows = [
        (_time(step), step.source, "·" if step.source == step.target else _arrow(step), step.target, step.what)
        for step in steps
    ]
    lane = max(len(name) for row in rows for name in (row[1], row[3]))
    return "\n".join(
        f"{time:>11}  {source:<{lane}}  {arrow}  {target if target != source else '':<{lane}}  {what}".rstrip()
        for time, source, arrow, target, what in rows
    )


def as_svg(lanes: list[str], steps: list[Step]) -> str:
    """The same rows as a drawing, readable on light and dark pages alike."""
    height = HEAD + ROW * len(steps) + FOOT
    gap = (WIDTH - TIME_COLUMN) / max(len(lanes), 1)
    xs = {lane: TIME_COLUMN + gap * (number + 0.5) for number, lane in enumerate(lanes)}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' "
        f"role='img' {FONT} style='max-width:100%;height:auto'>",
        "<title>The way of one message</title>",
        f"<desc>{escape(as_text(steps))}</desc>",
        f"<rect width='{WIDTH}' height='{height}' rx='8' fill='#ffffff' stroke='#d0d7de'/>",
        *(_marker(phase, colour) for phase, colour in COLOURS.items()),
        *(_lane(name, x, height, gap) for name, x in xs.items()),
    ]
    for number, step in enumerate(steps):
        parts.append(_row(step, xs, HEAD + ROW * number + ROW / 2))
    return "\n".join([*parts, "</svg>"])


def _marker(phase: str, colour: str) -> str:
    return (
        f"<marker id='bw-{phase}' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7' "
        f"orient='auto'><path d='M0 0 L10 5 L0 10 z' fill='{colour}'/></marker>"
    )


def _lane(name: str, x: float, height: int, gap: float) -> str:
    width = min(max(56, 8 * len(name) + 16), int(gap) - 6)
    fits = max(1, (width - 8) // 7)
    shown = name if len(name) <= fits else name[: fits - 1] + "…"
    return (
        f"<line x1='{x:.1f}' y1='44' x2='{x:.1f}' y2='{height - FOOT / 2}' stroke='#d0d7de' stroke-width='2'/>"
        f"<rect x='{x - width / 2:.1f}' y='14' width='{width}' height='26' rx='5' fill='#f6f8fa' stroke='#8c959f'/>"
        f"<text x='{x:.1f}' y='31' text-anchor='middle' font-weight='600' fill='#1f2328'>{escape(shown)}</text>"
    )


def _row(step: Step, xs: dict[str, float], y: float) -> str:
    colour = COLOURS[step.phase]
    time = f"<text x='{TIME_COLUMN - 8}' y='{y + 4:.1f}' text-anchor='end' fill='#57606a'>{_time(step)}</text>"
    if step.source == step.target:
        return time + _note(step, xs[step.source], y, colour)
    start, end = xs[step.source], xs[step.target]
    dashes = " stroke-dasharray='6 4'" if step.phase == "missing" else ""
    return time + (
        f"<line x1='{start:.1f}' y1='{y + 6:.1f}' x2='{end:.1f}' y2='{y + 6:.1f}' stroke='{colour}' "
        f"stroke-width='1.8'{dashes} marker-end='url(#bw-{step.phase})'/>"
        f"<text x='{_label_x(start, end):.1f}' y='{y + 1:.1f}' text-anchor='middle' fill='{colour}' "
        f"paint-order='stroke' stroke='#ffffff' stroke-width='4'>{escape(step.what)}</text>"
    )


def _label_x(start: float, end: float) -> float:
    """In the middle of a short arrow; near the target of a long one, where no other lane is in the way."""
    return (start + end) / 2 if abs(end - start) < 260 else end + (60 if end < start else -60)


def _note(step: Step, x: float, y: float, colour: str) -> str:
    width = 6.6 * len(step.what) + 14
    x = min(max(x, TIME_COLUMN + width / 2), WIDTH - 8 - width / 2)
    return (
        f"<rect x='{x - width / 2:.1f}' y='{y - 9:.1f}' width='{width:.1f}' height='20' rx='10' fill='#f6f8fa' "
        f"stroke='{colour}' stroke-opacity='.5'/>"
        f"<text x='{x:.1f}' y='{y + 5:.1f}' text-anchor='middle' fill='{colour}'>{escape(step.what)}</text>"
    )


def _arrow(step: Step) -> str:
    return "✗" if step.phase == "missing" else "→"


def _time(step: Step) -> str:
    return "never" if step.at is None else f"{step.at:.2f} ms"
