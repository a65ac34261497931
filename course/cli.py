"""The ``course`` command. Each subcommand is a few lines here; its work is in a module of its own."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from course.errors import UserError

app = typer.Typer(
    help="Breakwire: learn real-time systems by breaking one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

dead_letters = typer.Typer(
    help="Background work that was given up: look at it, let it be tried again, or delete it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(dead_letters, name="dead-letters")

RedisUrl = Annotated[str, typer.Option(envvar=["CHAT_REDIS_URL", "REDIS_URL"], help="The servers' Redis.")]
Prefix = Annotated[str, typer.Option(envvar="CHAT_REDIS_PREFIX", help="What the servers put before every key.")]
Queue = Annotated[str, typer.Option(help="Which queue.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="As `course dead-letters list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All that are there now.")]


def main() -> None:
    """Runs the command line. A user's mistake is one line on stderr and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="Where JupyterLab listens; the next free one if it is taken.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    extra: Annotated[list[str] | None, typer.Argument(metavar="[-- JUPYTER…]", help="For JupyterLab itself.")] = None,
) -> None:
    """Open the course in JupyterLab, on the start page."""
    _module("course.lab_server").run(port=port, browser=browser, extra=tuple(extra or ()))


@app.command()
def serve(
    instances: Annotated[int, typer.Option(min=1, max=64, help="How many server processes.")] = 2,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The first one's port; the others follow.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    redis_url: Annotated[str | None, typer.Option(help="A Redis to use instead of an embedded one.")] = None,
    database_url: Annotated[str | None, typer.Option(help="A database that stays, such as sqlite:///chat.db.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when all is up.")] = False,
) -> None:
    """Run instances of the reference server until Ctrl-C."""
    _module("course.workbench.serve").serve(
        instances=instances, port=port, host=host, redis_url=redis_url, database_url=database_url, as_json=as_json
    )


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="Whose token.")],
    name: Annotated[str | None, typer.Option(help="The name that others see.")] = None,
    ttl: Annotated[int, typer.Option(min=1, help="Seconds it is valid for.")] = 3600,
    operator: Annotated[bool, typer.Option("--operator", help="May see metrics and the monitor, and may ban.")] = False,
) -> None:
    """Print an access token for a server that `course serve` has started."""
    typer.echo(_module("course.workbench.serve").token(user, name, ttl, operator=operator))


@app.command()
def check(
    chapter: Annotated[str | None, typer.Argument(help="A chapter's number, capstone, or a level: capstone.2.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Grade again at every save, until Ctrl-C.")] = False,
    hint: Annotated[str | None, typer.Option(metavar="CHECK", help="Show the next hint for a check: 1.1.")] = None,
    reset: Annotated[
        str | None, typer.Option(metavar="EXERCISE", help="Start an exercise anew: 1, 1.1, or capstone.")
    ] = None,
    solution: Annotated[str | None, typer.Option(metavar="EXERCISE", help="Our solution, once you have yours.")] = None,
) -> None:
    """Grade your own exercises: points, what fails, the smallest case, what to do next."""
    work = _module("course.grader.local")
    name, _, level = (chapter or reset or solution or "").partition(".")
    own_server = _module("course.capstone.local") if name == "capstone" else None
    if hint is not None:
        raise typer.Exit(work.show_hint(hint))
    if reset is not None:
        raise typer.Exit(own_server.reset() if own_server else work.reset(reset))
    if solution is not None:
        raise typer.Exit(own_server.show_solution() if own_server else work.show_solution(solution))
    if own_server is not None:
        raise typer.Exit(own_server.run_check(watch, _number(level) if level else None))
    raise typer.Exit(work.run_check(_number(chapter) if chapter is not None else None, watch))


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="A folder with a folder for each student.")],
    out: Annotated[Path, typer.Option(help="Where the tables and pages go.")],
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Notebooks at a time.")] = os.cpu_count() or 1,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a notebook may run.")] = 60,
    chapter: Annotated[
        list[str] | None, typer.Option(help="Only this chapter, or capstone; may be given again.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was graded before and has not changed.")] = False,
) -> None:
    """Grade a class: points, feedback pages, an overview. Run it again to go on after an interrupt."""
    work = _module("course.grader.batch")
    code = work.run_grade(
        submissions, out, jobs=jobs, timeout_s=timeout, again=again,
        chapters=[_number(one) for one in chapter or [] if one != "capstone"] if chapter else None,
        capstone=not chapter or "capstone" in chapter,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def release(out: Annotated[Path, typer.Option(help="An empty folder, or an earlier copy to update.")]) -> None:
    """Write the student's copy: exercises, notebooks, lessons; no solutions, no hidden checks."""
    raise typer.Exit(_module("course.grader.release").run_release(out))


@app.command()
def conform(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8000: the reference, or your own.")],
    second_url: Annotated[str | None, typer.Option(help="A second instance of it, behind the same store.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Also what takes minutes: heartbeats, high limits.")] = False,
    patience: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds to wait for an answer.")] = 3.0,
    only: Annotated[list[str] | None, typer.Option(help="This check, and what it needs. May be repeated.")] = None,
    level: Annotated[list[int] | None, typer.Option(help="A level of the capstone. May be repeated.")] = None,
) -> None:
    """Ask a server, from outside, whether it keeps the protocol's promises."""
    command = _module("course.conform.command")
    code = command.run(
        url,
        second_url,
        json_output=as_json,
        slow=slow,
        patience_s=patience,
        only=tuple(only or ()),
        levels=tuple(level or ()),
    )
    raise typer.Exit(code)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: an impression in a minute or two.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, max=100, help="How often each is measured.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="SYSTEM", help="Only this one; may be given again.")] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON and the plots go.")] = Path(".breakwire/bench"),
    seed: Annotated[int | None, typer.Option(help="For the order, to have it again.")] = None,
    python: Annotated[str, typer.Option(help="A Python with the other systems' libraries.")] = sys.executable,
) -> None:
    """Measure this server beside others: CPU per delivery, latency, Redis, memory."""
    if importlib.util.find_spec("benchmarks") is None:
        raise UserError("the measurements are not in this copy of the course; they are in its repository")
    work = _module("benchmarks.command")
    raise typer.Exit(work.run(quick=quick, rounds=rounds, only=tuple(only or ()), out=out, seed=seed, python=python))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say what this machine has and lacks, and what that costs."""
    raise typer.Exit(_module("course.doctor").run(as_json=as_json))


@dead_letters.command("list")
def list_dead_letters(
    redis_url: RedisUrl,
    prefix: Prefix = "",
    queue: Queue = "push",
    limit: Annotated[int, typer.Option(min=1, help="How many, the oldest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line each.")] = False,
) -> None:
    """Show which jobs were given up, when and why."""
    work = _module("course.dead_letters")
    raise typer.Exit(work.show(redis_url, prefix, queue, limit=limit, as_json=as_json))


@dead_letters.command("replay")
def replay_dead_letters(
    redis_url: RedisUrl, ids: Ids = None, everything: All = False, prefix: Prefix = "", queue: Queue = "push"
) -> None:
    """Let jobs be tried again, with all their attempts."""
    raise typer.Exit(_module("course.dead_letters").replay(redis_url, prefix, queue, ids or (), everything=everything))


@dead_letters.command("purge")
def purge_dead_letters(
    redis_url: RedisUrl, ids: Ids = None, everything: All = False, prefix: Prefix = "", queue: Queue = "push"
) -> None:
    """Delete jobs for good."""
    raise typer.Exit(_module("course.dead_letters").purge(redis_url, prefix, queue, ids or (), everything=everything))


def _number(chapter: str) -> int:
    """A chapter's number. Raises ``UserError``."""
    if not chapter.isdecimal():
        raise UserError(f"{chapter!r} is no chapter: give its number, or capstone")
    return int(chapter)


def _module(name: str) -> Any:
    """Imports a command's module when the command runs: ``course --help`` needs none of them."""
    return importlib.import_module(name)
