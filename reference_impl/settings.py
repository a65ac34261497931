"""Every setting of the server, in one place.

Each is an environment variable ``CHAT_<NAME>``, or a line in a ``.env`` file. A value that does not fit
stops the start and names itself.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from uuid_utils import uuid7

from reference_impl.model.origins import ANY, SELF, parsed_origin

SECRETIVE = ("SECRET", "AI_KEY", "URL")
"""Settings with such a word in their names are never shown: URLs hold passwords."""


def _split(value: object) -> object:
    """A list as people write it: separated by commas."""
    return tuple(name for part in value.split(",") if (name := part.strip())) if isinstance(value, str) else value


def _require_networks(proxies: tuple[str, ...]) -> tuple[str, ...]:
    for proxy in proxies:
        ipaddress.ip_network(proxy)  # says what is wrong with it
    return proxies


def _require_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin not in (SELF, ANY) and parsed_origin(origin) is None:
            raise ValueError(f"{origin!r} is no origin; write scheme, host and port as in https://chat.example:8443")
    return origins


Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[Names, AfterValidator(_require_origins)]
Proxies = Annotated[Names, AfterValidator(_require_networks)]


class Settings(BaseSettings):
    """What an instance is started with. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    secret_key: str = Field(default="", min_length=0)
    """Signs the tokens, and what the instances tell each other. Needed, unless ``demo_login`` is on: then each start
    makes one of its own, and two instances do not believe each other."""
    redis_url: str | None = None
    """Without one, an instance is alone: it keeps presence, tickets and broadcasts in its own memory.
    ``redis+cluster://host:port`` names any node of a cluster."""
    redis_prefix: str = ""
    """Put before every key and channel, so that several systems can share one Redis."""
    database_url: str = "sqlite:///chat.db"
    instance_id: str = Field(default_factory=lambda: f"i-{uuid7().hex[-8:]}")

    demo_login: bool = False
    """Anybody gets a token for any name. For the lab and for a laptop."""
    peer_urls: Names = ()
    """Other addresses of the same system, separated by commas: a page goes there when this one does not answer.
    Behind a load balancer there are none: its address stays."""
    allow_query_token: bool | None = None
    """Whether ``?token=`` signs a WebSocket in. A URL ends in logs and histories; on in demo mode only."""

    allowed_origins: Origins = (SELF,)
    """Which pages may use this server from a browser: ``https://chat.example``, separated by commas; ``self`` means
    those that it has served itself, ``*`` all, in demo mode only. Programs that are no browsers are not asked."""
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    allow_insecure_host: bool = False
    """Lets a server be reached from other machines although it should not be: see ``require_safe_host``."""
    trusted_proxies: Proxies = ()
    """Addresses and networks, separated by commas, whose ``X-Forwarded-For`` and ``-Proto`` are believed."""

    max_connections_per_user: Positive = 5
    max_connections_per_ip: Positive = 10
    """By the address that connects; behind ``trusted_proxies`` by the one that connects to them. An IPv6 address
    counts with its /64 network."""
    max_connections_per_instance: Positive = 1000
    max_message_size: Positive = 64 * 1024
    rate_limit_window_s: Seconds = 60
    rate_limit_max_messages: Positive = 100
    heartbeat_interval_s: Seconds = 30
    heartbeat_timeout_s: Seconds = 90
    presence_lease_s: Seconds = 30
    outbox_frames: Positive = 256
    outbox_bytes: Positive = 1024 * 1024
    direct_sockets: bool = True
    """Off: every frame goes through ASGI messages, as under a server that is not ours. Same promises, more work."""
    drain_timeout_s: Seconds = 10
    push_webhook_url: str | None = None
    """Where notifications for absent users are posted. None: they are only noted in the log, without their text."""
    push_webhook_secret: str = ""
    """Signs what is posted there, so that the receiver knows it is from us."""
    ai_url: str | None = None
    """A service that speaks OpenAI's chat completions; ours end in ``/v1/chat/completions`` behind this address.
    None: the assistant answers offline, always the same way."""
    ai_key: str = ""
    """Signs us in there. A service on this machine often needs none."""
    ai_model: str = ""
    ai_timeout_s: Seconds = 30
    """For one whole answer."""
    monitor_interval_s: Seconds = 60
    """How often the monitor takes a sample and looks whether it alarms somebody."""
    alert_connections: Positive = 1000
    alert_error_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Share of what clients ask for, since the last sample, that was refused or failed."""
    alert_dead_letters: Annotated[int, Field(ge=0)] = 0
    alert_slow_consumers: Annotated[float, Field(ge=0)] = 10
    """Connections closed for reading too slowly, per minute."""
    alert_outbox_lag_s: Seconds = 10
    alert_webhook_url: str | None = None
    """Where alerts are posted, when they begin and when they are over."""
    alert_webhook_secret: str = ""
    """Signs them."""
    log_format: Literal["text", "json"] = "text"
    trace_file: Path | None = None
    """Where the hop recorder writes. None: it is off."""

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        if len(self.secret_key) < 32 and not (self.demo_login and not self.secret_key):
            raise ValueError("CHAT_SECRET_KEY needs 32 characters or more; CHAT_DEMO_LOGIN=1 makes one up")
        return self

    @model_validator(mode="after")
    def _admits_no_page_of_anybody(self) -> Self:
        if ANY in self.allowed_origins and not self.demo_login:
            raise ValueError("CHAT_ALLOWED_ORIGINS=* is for demo mode; name the origins of your pages")
        return self

    @model_validator(mode="after")
    def _has_both_halves_of_tls(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("CHAT_TLS_CERT_FILE and CHAT_TLS_KEY_FILE need each other")
        return self

    @model_validator(mode="after")
    def _signs_what_it_posts(self) -> Self:
        if self.push_webhook_url and not self.push_webhook_secret:
            raise ValueError("CHAT_PUSH_WEBHOOK_URL needs CHAT_PUSH_WEBHOOK_SECRET, by which the receiver knows us")
        if self.alert_webhook_url and not self.alert_webhook_secret:
            raise ValueError("CHAT_ALERT_WEBHOOK_URL needs CHAT_ALERT_WEBHOOK_SECRET, by which the receiver knows us")
        return self

    @model_validator(mode="after")
    def _can_ask_an_ai(self) -> Self:
        if self.ai_url is None:
            return self
        parts = urlsplit(self.ai_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("CHAT_AI_URL must be an address such as https://api.example.com")
        if not self.ai_model:
            raise ValueError("CHAT_AI_URL needs CHAT_AI_MODEL, the name of the model to ask")
        if not (self.ai_key.isascii() and self.ai_key.isprintable()):
            raise ValueError("CHAT_AI_KEY has characters that no header can carry")
        return self

    def require_safe_host(self, host: str) -> None:
        """Raises ``ValueError`` for an address that other machines can reach, unless it is safe to or overridden."""
        if is_loopback(host) or self.allow_insecure_host:
            return
        override = "CHAT_ALLOW_INSECURE_HOST=1 overrides this"
        if self.demo_login:
            raise ValueError(f"{host}: with CHAT_DEMO_LOGIN whoever reaches it is whoever they say; {override}")
        if self.tls_cert_file is None and not self.trusted_proxies:
            raise ValueError(
                f"{host}: without TLS everybody on the way reads along; set CHAT_TLS_CERT_FILE and CHAT_TLS_KEY_FILE, "
                f"or CHAT_TRUSTED_PROXIES if a proxy does it; {override}"
            )

    @property
    def query_token_allowed(self) -> bool:
        """Whether ``?token=`` counts: as set, else as demo mode says."""
        return self.demo_login if self.allow_query_token is None else self.allow_query_token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def explain(error: ValidationError) -> str:
    """What is wrong with the settings, one line each, by the name the user wrote."""
    lines = []
    for problem in error.errors():
        name = "CHAT_" + "_".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        got = "" if any(word in name for word in SECRETIVE) else f", got {problem['input']!r}"
        lines.append(f"{name}: {message}{got}" if name else message)
    return "\n".join(lines)
