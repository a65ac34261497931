"""Plots as SVG, for pages without a script."""

from markupsafe import Markup

COLOURS = {
    "passed": "var(--good)", "failed": "var(--bad)", "timeout": "var(--warn)",
    "crashed": "var(--warn)", "tampered": "var(--odd)", "missing": "var(--none)",
}  # fmt: skip
WIDTH, BINS, HEIGHT, ROW = 760, 10, 150, 30
LABELS = 400
"""What the longest title of a check takes."""


def histogram(percents: list[float]) -> Markup:
    """How many are in each tenth; who has all points is in the last."""
    counts = [0] * BINS
    for percent in percents:
        counts[min(int(percent * BINS / 100), BINS - 1)] += 1
    step, most = WIDTH / BINS, max(counts) or 1
    parts = []
    for number, count in enumerate(counts):
        left, height = number * step, HEIGHT * count / most
        parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="4" fill="var(--accent)" opacity="0.85"/>').format(
                f"{left + 4:.1f}", f"{HEIGHT - height + 22:.1f}", f"{step - 8:.1f}", f"{height:.1f}"
            )
        )
        middle = f"{left + step / 2:.1f}"
        label = f"{number * 10}–{number * 10 + 10}%"
        if count:
            above = f"{HEIGHT - height + 15:.1f}"
            parts.append(_text(middle, above, str(count), size=14, anchor="middle"))
        parts.append(_text(middle, str(HEIGHT + 42), label, size=12, anchor="middle", opacity="0.7"))
    return _svg(HEIGHT + 54, "Distribution of points", Markup("").join(parts))


def bars(rows: list[tuple[str, list[tuple[str, int]]]]) -> Markup:
    """One bar a check, in parts by status; the number on the right is who passed."""
    parts, left, width = [], LABELS, WIDTH - LABELS - 90
    for place, (label, counts) in enumerate(rows):
        top, total, x = place * ROW, sum(count for _, count in counts) or 1, float(left)
        parts.append(_text(str(left - 14), str(top + 20), label, size=14, anchor="end"))
        for status, count in counts:
            if count:
                wide = width * count / total
                title = Markup("<title>{}: {}</title>").format(status, count)
                parts.append(
                    Markup('<rect x="{}" y="{}" width="{}" height="16" rx="3" fill="{}">{}</rect>').format(
                        f"{x:.1f}", top + 7, f"{max(wide - 2, 1):.1f}", COLOURS[status], title
                    )
                )
                x += wide
        passed = dict(counts).get("passed", 0)
        parts.append(_text(str(WIDTH - 78), str(top + 20), f"{passed} of {total}", size=13, opacity="0.75"))
    return _svg(max(len(rows), 1) * ROW + 4, "Results of each check", Markup("").join(parts))


def _svg(height: int, title: str, inner: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, WIDTH, title, inner
    )


def _text(x: str, y: str, text: str, *, size: int, anchor: str = "start", opacity: str = "1") -> Markup:
    return Markup('<text x="{}" y="{}" font-size="{}" text-anchor="{}" opacity="{}">{}</text>').format(
        x, y, size, anchor, opacity, text
    )
