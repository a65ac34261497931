"""The server that is looked at, and what one check works with."""

import secrets
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self, get_args

import httpx2
from websockets.exceptions import InvalidHandshake, InvalidStatus

from course.conform.check import Broken, NotTried
from course.conform.frames import problem_of, shown
from course.conform.socket import Socket
from course.errors import UserError
from course.workbench.sign_in import SignIn, open_socket

WAYS: tuple[SignIn, ...] = get_args(SignIn)
API = "/api/v1"


class Answer(NamedTuple):
    """What HTTP answered: the status, and the body as JSON values, or as text where it is none."""

    status: int
    body: Any
    headers: httpx2.Headers

    def __str__(self) -> str:
        return f"{self.status} {shown(self.body)}"


class User(NamedTuple):
    """Somebody who is signed in."""

    id: str
    token: str


@dataclass
class Server:
    """One or two instances, and what is known of them by now."""

    urls: list[str]
    patience_s: float
    is_slow_allowed: bool = False
    way: SignIn | None = None
    """A way to sign in that works."""
    frames_seen: int = 0
    misfits: list[str] = field(default_factory=list)
    """Frames that were not of the promised form, each described."""

    def note(self, frame: Any) -> None:
        """Looks at every frame that comes, whatever check it is for."""
        self.frames_seen += 1
        try:
            problem = problem_of(frame)
        except RecursionError:
            problem = "it is nested too deeply"
        if problem is not None and len(self.misfits) < 100:
            self.misfits.append(f"{shown(frame, 120)}: {problem}")


class World:
    """Users, conversations and sockets of one check's own; all of it is put away after the check."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.patience_s = server.patience_s
        self.grace_s = server.patience_s / 3
        """What is added to promised times: the network and a busy machine are not the server's fault."""
        self._tag = secrets.token_hex(4)
        self._users: dict[str, User] = {}
        self._https: dict[int, httpx2.AsyncClient] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def last(self) -> int:
        """The number of the last instance: 1 with two, else 0."""
        return len(self.server.urls) - 1

    # -- over HTTP -------------------------------------------------------------------------------------------

    async def http(
        self, method: str, path: str, *, by: str | None = None, body: Any = None, at: int = 0, **options: Any
    ) -> Answer:
        """Asks as the user called ``by``, or as nobody. Raises ``Broken`` when nothing answers."""
        headers = {"Authorization": f"Bearer {(await self.user(by)).token}"} if by is not None else {}
        headers |= options.pop("headers", {})
        options |= {} if body is None else {"json": body}
        try:
            answer = await self._http(at).request(method, path, headers=headers, **options)
        except httpx2.HTTPError as error:
            raise Broken(f"{method} {path} got no answer: {error!r}") from error
        try:
            return Answer(answer.status_code, answer.json(), answer.headers)
        except (ValueError, RecursionError):
            return Answer(answer.status_code, answer.text, answer.headers)

    async def api(self, method: str, path: str, *, status: int, by: str, body: Any = None, **options: Any) -> Any:
        """The body of an answer that must have ``status``; ``path`` is below ``/api/v1``."""
        answer = await self.http(method, API + path, by=by, body=body, **options)
        if answer.status != status:
            raise Broken(f"{method} {API}{path} answered {answer}, not {status}")
        return answer.body

    async def user(self, name: str) -> User:
        """The user called ``name`` in this check; signed in when first named."""
        if name not in self._users:
            user_id = f"{name}-{self._tag}"
            answer = await self.http("POST", f"{API}/auth/token", body={"user_id": user_id, "display_name": name})
            token = answer.body.get("access_token") if isinstance(answer.body, dict) else None
            if answer.status != 200 or not isinstance(token, str):
                raise Broken(f"POST {API}/auth/token answered {answer}, not 200 with an access_token")
            self._users[name] = User(user_id, token)
        return self._users[name]

    async def conversation(self, *names: str) -> str:
        """The id of a new conversation of these users; one made up where the server can make none."""
        others = [(await self.user(name)).id for name in names[1:]]
        answer = await self.http(
            "POST", f"{API}/conversations", by=names[0], body={"title": "conform", "participant_ids": others}
        )
        found = answer.body.get("id") if isinstance(answer.body, dict) else None
        return found if isinstance(found, str) else f"room-{secrets.token_hex(4)}"

    async def history(self, conversation_id: str, by: str, **query: Any) -> list[Any]:
        """The messages over HTTP."""
        path = f"/conversations/{conversation_id}/messages"
        found = await self.api("GET", path, status=200, by=by, params={"limit": 1000} | query)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Broken(f"GET {API}{path} answered {shown(found)}, not a list of messages")
        return found

    # -- over WebSocket --------------------------------------------------------------------------------------

    async def open(
        self,
        name: str,
        conversation_id: str | None,
        *,
        at: int = 0,
        way: SignIn | None = None,
        credential: str | None = None,
        **query: str,
    ) -> Socket:
        """A socket that has not said anything yet. ``credential`` replaces what would sign ``name`` in;
        an empty one with the way ``first_frame`` says nothing at all.

        Raises ``Broken`` when the handshake fails.
        """
        way = way or self._way()
        if credential is None:
            credential = await self._credential(name, way, at)
        url = self.server.urls[at].replace("http", "ws", 1) + "/ws"
        url += "" if conversation_id is None else f"/{conversation_id}"
        try:
            connection = await open_socket(url, way, credential, query)
        except InvalidStatus as error:
            status = error.response.status_code
            raise Broken(
                f"the handshake was answered with HTTP {status}: a server that closes before it accepts can not"
                " send a close code; accept first, then close"
            ) from error
        except (InvalidHandshake, OSError, TimeoutError) as error:
            raise Broken(f"the handshake failed: {error!r}") from error
        socket = Socket(connection, name, self.patience_s, self.server.note)
        self._open.push_async_callback(socket.close)
        if way == "first_frame" and credential:
            await socket.send({"type": "auth", "token": credential})
        return socket

    async def socket(self, name: str, conversation_id: str | None, *, at: int = 0, **query: str) -> Socket:
        """A socket that is signed in and has said ``connected``."""
        socket = await self.open(name, conversation_id, at=at, way=None, credential=None, **query)
        await socket.expect("connected")
        return socket

    async def sockets(self, conversation_id: str, *names: str) -> list[Socket]:
        """One for each, the last one on the last instance."""
        ats = [0] * (len(names) - 1) + [self.last]
        return [await self.socket(name, conversation_id, at=at) for name, at in zip(names, ats, strict=True)]

    async def close_code(self, opening: Awaitable[Socket], *, within: float | None = None) -> int:
        """The code with which a socket is closed that is still to be opened."""
        return await (await opening).closed(within)

    async def _credential(self, name: str, way: SignIn, at: int) -> str:
        if way != "ticket":
            return (await self.user(name)).token
        found = await self.api("POST", "/auth/ticket", status=200, by=name, at=at)
        if not isinstance(found, dict) or not isinstance(found.get("ticket"), str):
            raise Broken(f"POST {API}/auth/ticket answered {shown(found)}, not a ticket")
        return str(found["ticket"])

    def _way(self) -> SignIn:
        if self.server.way is None:
            raise NotTried("needs a way to sign a socket in")
        return self.server.way

    def _http(self, at: int) -> httpx2.AsyncClient:
        if at not in self._https:
            client = httpx2.AsyncClient(base_url=self.server.urls[at], timeout=self.patience_s, trust_env=False)
            self._https[at] = client
            self._open.push_async_callback(client.aclose)
        return self._https[at]


async def look_around(server: Server) -> None:
    """Finds out whether anybody is there, signs somebody in, and finds a way in for sockets. Raises ``UserError``."""
    async with World(server) as world:
        for at in range(len(server.urls)):
            await _require_sign_in(world, at)
        conversation_id = await world.conversation("scout")
        for way in WAYS:
            if await _lets_in(world, conversation_id, way):
                server.way = way
                return


async def _require_sign_in(world: World, at: int) -> None:
    url = world.server.urls[at]
    try:
        answer = await world.http("POST", f"{API}/auth/token", body={"user_id": "conform-scout"}, at=at)
    except Broken as error:
        raise UserError(f"nothing answers at {url}; start a server first: course serve") from error
    if answer.status in (403, 404, 405):
        raise UserError(
            f"{url} has no demo sign-in (POST {API}/auth/token answered {answer.status}), and without it nobody can"
            " come in to look. The reference has it with CHAT_DEMO_LOGIN=1, which course serve sets; a server of"
            " your own needs that route: {user_id} → {access_token}"
        )
    if answer.status != 200 or not isinstance(answer.body, dict) or "access_token" not in answer.body:
        raise UserError(f"{url}: POST {API}/auth/token is to answer 200 with an access_token, not {answer}")


async def _lets_in(world: World, conversation_id: str, way: SignIn) -> bool:
    """Whether the socket stays: with ``connected`` at once, without it for a while."""
    try:
        socket = await world.open("scout", conversation_id, way=way)
    except Broken:
        return False
    try:
        await socket.expect("connected", within=min(1.5, world.patience_s))
    except Broken:
        return socket.is_open
    return True
