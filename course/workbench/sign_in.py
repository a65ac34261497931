"""The ways a client can sign in when it opens a socket."""

from typing import Literal

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

SignIn = Literal["subprotocol", "header", "ticket", "first_frame", "query"]


class _Direct(connect):
    """Goes where it was sent to: a server that is asked can not send its token, or the one who asks, elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirect is a handshake that has failed."""
        return exc


async def open_socket(url: str, sign_in: SignIn, credential: str, device: dict[str, str]) -> ClientConnection:
    """A WebSocket whose handshake carries ``credential``: a token, or a ticket where that is the way.

    ``first_frame`` carries nothing yet. ``device`` goes into the query.
    """
    query, headers, subprotocols = dict(device), {}, [Subprotocol("chat.v1")]
    if sign_in == "subprotocol":
        subprotocols.append(Subprotocol(f"bearer.{credential}"))
    elif sign_in == "header":
        headers["Authorization"] = f"Bearer {credential}"
    elif sign_in == "query":
        query["token"] = credential
    elif sign_in == "ticket":
        query["ticket"] = credential
    return await _Direct(
        str(httpx2.URL(url, params=query)),
        subprotocols=subprotocols,
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        max_size=2**20,
        max_queue=None,  # the lab keeps everything: what a client got is what the lesson is about
        proxy=None,
    )
