"""Who somebody is: tokens and tickets, issued and checked."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
from uuid_utils import uuid7

from reference_impl.core.ports import Clock, TicketStore
from reference_impl.model.assistant import validated_person
from reference_impl.model.errors import AuthenticationFailed, Invalid
from reference_impl.model.json_values import has_only_text
from reference_impl.model.signatures import Forged, Signer

ALGORITHM = "HS256"
"""Fixed here: a token's own header never chooses how it is checked."""

AUDIENCE = ISSUER = "breakwire"
TICKET_TTL_S = 30
LONGEST_TOKEN_ID = 64
LONGEST_NAME = 200
OPERATOR = "operator"
"""The ``role`` of a token whose holder may look at the system as a whole, and may ban."""


class Identity(msgspec.Struct, frozen=True):
    """A signed-in user. ``expires_at`` is aware UTC; ``token_id`` names the token, and signs nobody in."""

    user_id: str
    display_name: str
    expires_at: datetime
    token_id: str
    is_operator: bool = False


class AuthenticationService:
    """Issues and verifies access tokens (JWT) and single-use tickets.

    A ticket stands for an identity once, for a few seconds: it may be in a URL, where a token must not be.
    """

    def __init__(self, *, secret_key: str, clock: Clock, tickets: TicketStore | None = None) -> None:
        self._secret_key = secret_key
        self._signer = Signer(secret_key)
        self._clock = clock
        self._tickets = tickets

    def issue_token(
        self, user_id: str, display_name: str | None = None, ttl_s: float = 3600, *, is_operator: bool = False
    ) -> tuple[str, Identity]:
        """A token for ``user_id`` that is valid for ``ttl_s`` seconds, and who it stands for. Raises ``Invalid``."""
        now = self._clock()
        identity = Identity(
            user_id=validated_person(user_id),
            display_name=display_name or user_id,
            expires_at=now + timedelta(seconds=ttl_s),
            token_id=str(uuid7()),
            is_operator=is_operator,
        )
        claims: dict[str, Any] = {
            "sub": identity.user_id,
            "name": identity.display_name,
            "iat": now,
            "exp": identity.expires_at,
            "aud": AUDIENCE,
            "iss": ISSUER,
            "jti": identity.token_id,
        }
        if is_operator:
            claims["role"] = OPERATOR
        return jwt.encode(claims, self._secret_key, ALGORITHM), identity

    def verify_token(self, token: str) -> Identity:
        """Who ``token`` stands for. Raises ``AuthenticationFailed``, whatever is wrong with it."""
        try:
            claims = jwt.decode(
                token,
                self._secret_key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["sub", "exp", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            expires_at = datetime.fromtimestamp(claims["exp"], self._clock().tzinfo)
            user_id = validated_person(claims["sub"])
        except (jwt.InvalidTokenError, Invalid, TypeError, ValueError, OverflowError) as error:
            raise AuthenticationFailed("the token is not valid") from error
        if expires_at <= self._clock():
            raise AuthenticationFailed("the token has expired")
        return Identity(
            user_id=user_id,
            display_name=_display_name(claims.get("name"), user_id),
            expires_at=expires_at,
            token_id=_token_id(claims.get("jti"), token),
            is_operator=claims.get("role") == OPERATOR,
        )

    async def issue_ticket(self, identity: Identity) -> tuple[str, int]:
        """A ticket and the seconds it is valid for. Raises ``Unavailable``."""
        ticket = secrets.token_urlsafe(32)
        kept = self._signer.sign(_place_of(ticket), msgspec.json.encode(identity))
        await self._ticket_store.put(ticket, kept, TICKET_TTL_S)
        return ticket, TICKET_TTL_S

    async def redeem_ticket(self, ticket: str) -> Identity:
        """Who ``ticket`` stands for; it is used up by this. Raises ``AuthenticationFailed`` or ``Unavailable``."""
        kept = await self._ticket_store.take(ticket)
        if kept is None:
            raise AuthenticationFailed("the ticket is not valid, was used, or is over 30 s old")
        try:
            identity = msgspec.json.decode(self._signer.verify(_place_of(ticket), kept), type=Identity)
        except Forged as error:
            raise AuthenticationFailed("the ticket is not one of ours") from error
        if identity.expires_at <= self._clock():
            raise AuthenticationFailed("the token behind the ticket has expired")
        return identity

    @property
    def _ticket_store(self) -> TicketStore:
        if self._tickets is None:
            raise RuntimeError("this AuthenticationService was made without a ticket store")
        return self._tickets


def _place_of(ticket: str) -> str:
    return f"ticket:{ticket}"


def _token_id(named: object, token: str) -> str:
    """The token's own name for itself, if it is fit to be stored; else one made of the token."""
    if isinstance(named, str) and 0 < len(named) <= LONGEST_TOKEN_ID and named.isascii() and named.isprintable():
        return named
    return hashlib.sha256(token.encode()).hexdigest()


def _display_name(named: object, user_id: str) -> str:
    """What the token says, if it is fit to be shown and stored; else the user's id."""
    fits = isinstance(named, str) and 0 < len(named) <= LONGEST_NAME and has_only_text(named)
    return str(named) if fits else user_id
