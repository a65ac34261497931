"""What came out, for people and for programs."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course.conform.check import ELSEWHERE, PROMISES, Verdict

MARKS = {"passed": "[green]✓[/]", "failed": "[bold red]✗[/]", "skipped": "[yellow]–[/]"}
SHOWN_CHARACTERS = 400


def as_json(urls: list[str], verdicts: list[Verdict]) -> dict[str, Any]:
    """Everything, as JSON values."""
    return {
        "url": urls[0],
        "second_url": urls[1] if len(urls) > 1 else None,
        **counts(verdicts),
        "checks": [
            {
                "promise": one.check.promise,
                "check": one.check.name,
                "says": one.check.says,
                "outcome": one.outcome,
                "saw": one.saw,
                "see": one.check.see,
                "seconds": round(one.seconds, 3),
            }
            for one in verdicts
        ],
    }


def counts(verdicts: list[Verdict]) -> dict[str, int]:
    """How many passed, failed, were skipped."""
    return {outcome: sum(one.outcome == outcome for one in verdicts) for outcome in MARKS}


def print_table(console: Console, verdicts: list[Verdict], seconds: float) -> None:
    """By promise; what failed with what was seen and where to read on. ``seconds``: how long all of it took."""
    looked_at = {one.check.promise for one in verdicts}
    for promise in (one for one in PROMISES if one in looked_at):
        table = Table(box=None, show_header=False, title=f"[bold]{promise}[/]", title_justify="left", expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1)
        for one in verdicts:
            if one.check.promise == promise:
                table.add_row(MARKS[one.outcome], _told(one))
        console.print(table)
        console.print()
    _print_summary(console, verdicts, seconds)


def _told(verdict: Verdict) -> str:
    check = verdict.check
    says = f"{escape(check.says)} [dim]{check.name}[/]"
    saw = escape(verdict.saw if len(verdict.saw) <= SHOWN_CHARACTERS else verdict.saw[:SHOWN_CHARACTERS] + "…")
    if verdict.outcome == "failed":
        return f"{says}\n[red]{saw}[/]\n[dim]how to keep it: {check.see}[/]"
    return f"{says}\n[yellow]not tried: {saw}[/]" if verdict.outcome == "skipped" else says


def _print_summary(console: Console, verdicts: list[Verdict], seconds: float) -> None:
    found = counts(verdicts)
    console.print("[dim]Not looked at, since it does not show from outside:[/]")
    for promise, where in ELSEWHERE.items():
        console.print(f"[dim]  {promise}: {where}[/]")
    colour = "bold red" if found["failed"] else "green"
    console.print(
        f"\n[{colour}]{found['passed']} promises kept, {found['failed']} broken,"
        f" {found['skipped']} not tried[/], in {seconds:.0f} s"
    )
