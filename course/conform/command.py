"""``course conform``: what the command does."""

import asyncio
import json
import re
import sys
import time

from rich.console import Console
from rich.progress import Progress

from course.conform import checks as _all_checks  # noqa: F401 - importing them lists them
from course.conform.check import CHECKS, Verdict
from course.conform.report import as_json, print_table
from course.conform.runner import chosen_checks, run_checks
from course.conform.world import Server, look_around
from course.errors import UserError
from course.manifest import load


def run(
    url: str,
    second_url: str | None,
    *,
    json_output: bool,
    slow: bool,
    patience_s: float,
    only: tuple[str, ...] = (),
    levels: tuple[int, ...] = (),
) -> int:
    """Prints what came out; returns 0 when no promise was found broken, else 1. Raises ``UserError``.

    ``levels`` are those of the capstone: their checks come to those of ``only``.
    """
    only += tuple(name for level in levels for name in load().capstone.level(level).checks)
    urls = [_checked(one) for one in (url, second_url) if one is not None]
    if unknown := [name for name in only if name not in CHECKS]:
        raise UserError(f"there is no check {unknown[0]}; they are {', '.join(CHECKS)}")
    server = Server(urls, patience_s, is_slow_allowed=slow)
    began = time.monotonic()
    verdicts = asyncio.run(_run(server, only, quiet=json_output))
    if json_output:
        sys.stdout.write(json.dumps(as_json(urls, verdicts), ensure_ascii=False) + "\n")
    else:
        print_table(Console(), verdicts, time.monotonic() - began)
    return 1 if any(one.outcome == "failed" for one in verdicts) else 0


async def _run(server: Server, only: tuple[str, ...], *, quiet: bool) -> list[Verdict]:
    await look_around(server)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        bar = progress.add_task("asking", total=len(chosen_checks(only)))
        return await run_checks(server, lambda _verdict: progress.advance(bar), only=only)


def _checked(url: str) -> str:
    if not re.match(r"https?://[^/?#]+/?$", url):
        raise UserError(f"{url} is not a server's address; it looks like http://127.0.0.1:8000")
    return url.rstrip("/")
