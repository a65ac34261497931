"""``course conform``: green on the reference, red where it should be on others, and never a crash."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from course import Lab
from course.conform import checks as _all_checks  # noqa: F401 - importing them lists them
from course.conform.check import CHECKS, PROMISES, Verdict
from course.conform.runner import run_checks
from course.conform.world import Server, look_around
from course.workbench.cluster import Cluster
from course.workbench.lab_settings import lab_settings
from course.workbench.toy import ToyServer
from tests.course.conform import mutants, tutorial_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW = "unauthenticated-sockets-end"
"""Takes five seconds by its nature: once, on the reference, is enough."""

ROOT = Path(__file__).resolve().parents[2]
WIDE = {**os.environ, "COLUMNS": "200"}

DEFAULTS = {"MAX_CONNECTIONS_PER_USER": 5, "RATE_LIMIT_MAX_MESSAGES": 100, "HEARTBEAT_INTERVAL_S": 0.5}

PROBES = (
    "token-is-not-echoed",
    "bad-token-gets-4001",
    "stranger-gets-4003",
    "acked-means-stored",
    "sending-again-is-safe",
    "own-other-devices-get-it",
    "resume-from-nothing",
    "bad-json",
    "others-see-who-goes",
    "stranger-is-refused-over-http",
    "removal-reaches-live-sockets",
)
"""One or two of each promise that a mutant may break."""


async def verdicts_of(*urls: str, patience_s: float, only: tuple[str, ...] = ()) -> dict[str, Verdict]:
    server = Server(list(urls), patience_s)
    await look_around(server)
    return {one.check.name: one for one in await run_checks(server, lambda _: None, jobs=8, only=only)}


def names(verdicts: dict[str, Verdict], outcome: str) -> set[str]:
    return {name for name, one in verdicts.items() if one.outcome == outcome}


def seen(verdicts: dict[str, Verdict]) -> str:
    return "\n".join(f"{name}: {one.saw}" for name, one in verdicts.items() if one.outcome != "passed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference() -> AsyncIterator[Lab]:
    async with Lab(instances=2, settings=DEFAULTS) as lab:
        yield lab


@asynccontextmanager
async def cluster(instances: int = 1, **options: Any) -> AsyncIterator[list[str]]:
    started = await Cluster(instances, settings=lab_settings(DEFAULTS), **options).start()
    try:
        yield [started.url(number) for number in range(instances)]
    finally:
        await started.stop()


# -- the reference -----------------------------------------------------------------------------------------------


async def test_the_reference_keeps_every_promise(reference: Lab) -> None:
    """Two instances, the limits as they are by default: every check passes, and only what takes long is skipped."""
    verdicts = await verdicts_of(reference.url(0), reference.url(1), patience_s=10)
    slow = {check.name for check in CHECKS.values() if check.is_slow}
    assert (names(verdicts, "failed"), names(verdicts, "skipped")) == (set(), slow), seen(verdicts)
    assert verdicts.keys() == CHECKS.keys()


async def test_so_does_a_server_through_asgi_messages() -> None:
    """As under any server but our own: the same code, another way to the socket. Only what needs two is skipped."""
    async with Lab(instances=1, settings=DEFAULTS | {"DIRECT_SOCKETS": False}) as lab:
        verdicts = await verdicts_of(lab.url(0), patience_s=10)
    assert names(verdicts, "failed") == set(), seen(verdicts)


async def test_one_instance_is_enough_to_ask(reference: Lab) -> None:
    """Without a second URL only what needs two is skipped, and says so."""
    only = ("sending-again-on-the-other-instance", "others-get-it-on-the-other-instance", "others-get-it")
    verdicts = await verdicts_of(reference.url(0), patience_s=10, only=only)
    assert names(verdicts, "skipped") == set(only[:2])
    assert {verdicts[name].saw for name in only[:2]} == {"needs a second instance: --second-url"}
    assert verdicts["others-get-it"].outcome == "passed"


# -- the reference, with one promise broken ----------------------------------------------------------------------

OVERRIDES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "acks before it stores": ({"message_service": mutants.AcksBeforeCommit}, {"acked-means-stored"}),
    "forgets client ids": ({"message_service": mutants.ForgetsClientIds}, {"sending-again-is-safe"}),
    "skips itself": (
        {"message_router": mutants.SkipsItself, "reconciler": mutants.RepairsNothing},
        {"others-get-it"},
    ),
    "doubles": ({"connection_manager": mutants.Doubles}, {"others-get-it"}),
    "excludes the user": ({"connection_manager": mutants.ExcludesTheUser}, {"own-other-devices-get-it"}),
    "asks nobody": (
        {"conversation_service": mutants.AsksNobody},
        {"stranger-is-refused-over-http", "removal-reaches-live-sockets"},
    ),
    "lets them stay": ({"memberships": mutants.LetsThemStay}, {"removal-reaches-live-sockets"}),
    "ghosts": ({"presence_announcer": mutants.Ghosts}, {"others-see-who-goes"}),
    "resumes from now": ({"replay": mutants.ResumesFromNow}, {"resume-brings-what-was-missed"}),
}
"""A small mistake in the reference, by name: the parts it replaces, and the checks that find it."""

FRONTS: dict[str, tuple[Any, set[str]]] = {
    "closes before it accepts": (mutants.closes_before_accept, {"bad-token-gets-4001", "stranger-gets-4003"}),
    "echoes the token": (mutants.echoes_the_token, {"token-is-not-echoed"}),
    "drops who sends nonsense": (mutants.drops_who_sends_nonsense, {"bad-json"}),
}
"""The same for mistakes at the door."""

TOGETHER = [
    ("forgets client ids", "excludes the user", "lets them stay", "ghosts", "resumes from now"),
    ("acks before it stores", "doubles", "asks nobody"),
    ("skips itself",),
]
"""Mistakes that do not hide one another: in one server they cost one start."""


@pytest.mark.parametrize("mistakes", TOGETHER, ids=" + ".join)
async def test_mistakes_are_found_under_their_names(mistakes: tuple[str, ...]) -> None:
    """Several at once: each is found by the check meant for it, and nothing else is called broken."""
    overrides: dict[str, Any] = {}
    for name in mistakes:
        overrides |= OVERRIDES[name][0]
    async with cluster(overrides=overrides) as urls:
        verdicts = await verdicts_of(*urls, patience_s=10, only=PROBES)
    assert names(verdicts, "failed") == set[str]().union(*(OVERRIDES[name][1] for name in mistakes)), seen(verdicts)


async def test_mistakes_at_the_door_are_found_under_their_names() -> None:
    """The same, for what a server does with the handshake and with frames."""
    async with cluster(make_app=mutants.three_mistakes) as urls:
        verdicts = await verdicts_of(*urls, patience_s=10, only=PROBES)
    assert names(verdicts, "failed") == set[str]().union(*(broken for _, broken in FRONTS.values())), seen(verdicts)


@pytest.mark.long
@pytest.mark.parametrize("mistake", [*OVERRIDES, *FRONTS])
async def test_each_mistake_alone(mistake: str) -> None:
    """One mistake, one verdict."""
    assert {name for together in TOGETHER for name in together} == OVERRIDES.keys()
    changed, broken = OVERRIDES.get(mistake) or FRONTS[mistake]
    options: dict[str, Any] = {"overrides": changed} if mistake in OVERRIDES else {"make_app": changed}
    async with cluster(**options) as urls:
        verdicts = await verdicts_of(*urls, patience_s=10, only=PROBES)
    assert names(verdicts, "failed") == broken, seen(verdicts)


# -- other servers -----------------------------------------------------------------------------------------------


async def test_the_tutorials_server_is_red_where_it_should_be() -> None:
    """It delivers, between instances too, and keeps one order. It acks nothing, numbers nothing, and closes in vain."""
    only = tuple(name for name in CHECKS if name != SLOW)
    async with cluster(instances=2, make_app=tutorial_server.make_app) as urls:
        verdicts = await verdicts_of(*urls, patience_s=3, only=only)
    good = {"sign-in-by-query", "others-get-it", "others-get-it-on-the-other-instance", "conversations-are-kept-apart"}
    assert good <= names(verdicts, "passed"), seen(verdicts)
    red = {"a-message-is-acked", "bad-json", "unknown-type", "bad-token-gets-4001", "connected-says-where-you-are",
           "message-over-http", "every-frame-has-its-form", "sign-in-by-ticket", "others-see-typing"}  # fmt: skip
    assert red <= names(verdicts, "failed"), seen(verdicts)
    assert "HTTP 403" in verdicts["bad-token-gets-4001"].saw
    assert "accept first, then close" in verdicts["bad-token-gets-4001"].saw
    assert verdicts["acked-means-stored"].saw.startswith("needs a-message-is-acked")
    assert verdicts["resume-by-frame"].outcome == "skipped"


def nonsense() -> Starlette:
    """A server that lets everybody in and then answers all kinds of rubbish."""
    answers = ['"a string"', "[[1]]", "null", '{"id": 7, "error": "no object"}', "<html>", '{"action": {"a": 1}}', "{"]

    async def http(request: Request) -> Response:
        if request.url.path.endswith("/auth/token"):
            return JSONResponse({"access_token": "t"})
        answers.append(answers.pop(0))
        return Response(answers[0], status_code=201 if request.method == "POST" else 200)

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        for action in ("connected", "ack", "new_message", "resumed", "ping"):
            for data in ("null", "[]", '{"seq": "many", "id": {}, "content": 7, "client_message_id": []}'):
                await websocket.send_text(f'{{"action": "{action}", "data": {data}}}')
        try:
            while True:
                await websocket.receive()
                answers.append(answers.pop(0))
                await websocket.send_text(answers[0])
        except (WebSocketDisconnect, RuntimeError):
            return

    routes = [WebSocketRoute("/ws", socket), WebSocketRoute("/ws/{name}", socket)]
    methods = ["GET", "POST", "DELETE"]
    return Starlette(routes=[*routes, Route("/{path:path}", http, methods=methods)])


async def test_rubbish_is_red_and_never_a_crash() -> None:
    """Whatever a server answers, every check has a verdict with words, and all of it ends."""
    only = tuple(name for name in CHECKS if name != SLOW)
    async with ToyServer(nonsense) as toy:
        verdicts = await verdicts_of(toy.url, patience_s=0.5, only=only)
    assert verdicts.keys() == set(only)
    assert len(names(verdicts, "failed")) > 20
    assert all(one.saw for one in verdicts.values() if one.outcome != "passed")


# -- the command -------------------------------------------------------------------------------------------------


async def conform(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "course", "conform", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, check=False, env=WIDE
    )


async def test_the_command_says_it_in_words_and_in_json(reference: Lab) -> None:
    """A table for people, one JSON object for programs; exit code 0 when nothing is broken."""
    told = await conform(reference.url(0), "--only", "bad-json")
    assert (told.returncode, told.stderr) == (0, "")
    assert "Bad frames get an answer" in told.stdout
    assert "1 promises kept" in told.stdout
    two = (reference.url(0), "--second-url", reference.url(1))
    listed = await conform(*two, "--only", "others-get-it-on-the-other-instance", "--json")
    report = json.loads(listed.stdout)
    assert (listed.returncode, report["passed"], report["failed"], report["skipped"]) == (0, 1, 0, 0)
    assert (report["url"], report["second_url"]) == (two[0], two[2])
    assert report["checks"][0]["check"] == "others-get-it-on-the-other-instance"


async def test_a_broken_promise_is_exit_code_1() -> None:
    """What was seen, and where to read how to keep it."""
    async with ToyServer(nonsense) as toy:
        told = await conform(toy.url, "--only", "bad-json", "--patience", "0.5")
    assert (told.returncode, told.stderr) == (1, "")
    assert "alice waited 0.5 s for error" in told.stdout
    assert "how to keep it: reference_impl/model/frames.py" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("http://127.0.0.1:1",), "nothing answers at http://127.0.0.1:1; start a server first: course serve"),
        (("127.0.0.1:8000",), "127.0.0.1:8000 is not a server's address; it looks like http://127.0.0.1:8000"),
        (("http://127.0.0.1:1", "--only", "no-such"), "there is no check no-such"),
    ],
)
async def test_a_users_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    """No server, no address, no such check."""
    told = await conform(*arguments)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(says)
    assert told.stderr.count("\n") == 1


def without_sign_in() -> Starlette:
    return Starlette()


async def test_a_server_without_demo_sign_in_is_told_what_it_needs() -> None:
    """One line: what is missing, and how to have it."""
    async with ToyServer(without_sign_in) as toy:
        told = await conform(toy.url)
    assert told.returncode == 2
    assert "has no demo sign-in (POST /api/v1/auth/token answered 404)" in told.stderr
    assert "CHAT_DEMO_LOGIN=1" in told.stderr


async def test_every_check_can_be_read() -> None:
    """Each has its promise in words, and a place to read on that exists."""
    assert len(CHECKS) > 60
    assert {check.promise for check in CHECKS.values()} == set(PROMISES)
    for check in CHECKS.values():
        assert len(check.says) > 20
        assert (ROOT / check.see).exists(), check.name
