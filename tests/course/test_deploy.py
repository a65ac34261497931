"""The files for containers say nothing that the server does not know. No container is started here."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reference_impl.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
INSTANCES = [name for name in COMPOSE["services"] if name.startswith("chat-")]


def settings_of(service: str) -> dict[str, str]:
    """As compose would set them, with passwords of this test's own."""
    given: dict[str, str] = COMPOSE["services"][service]["environment"]
    return {name: re.sub(r"\$\{[^}]*\}", "a-password-of-32-characters-or-more", value) for name, value in given.items()}


@pytest.mark.parametrize("service", INSTANCES)
def test_the_settings_are_the_server_s(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is known and fits; nobody signs in without a password; the drain fits into the grace period."""
    environment = settings_of(service)
    known = {f"CHAT_{name.upper()}" for name in Settings.model_fields}
    assert environment.keys() - known == set()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert not settings.demo_login
    assert settings.drain_timeout_s < float(COMPOSE["services"][service]["stop_grace_period"].removesuffix("s"))
    subnet = COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert settings.trusted_proxies == (str(ipaddress.ip_network(subnet)),)
    assert settings.instance_id == service


def test_no_secret_is_in_the_files() -> None:
    """Who starts it names them, or it does not start."""
    text = (DEPLOY / "compose.yaml").read_text()
    for name in ("CHAT_SECRET_KEY", "POSTGRES_PASSWORD"):
        assert re.search(rf"\$\{{{name}:\?", text)


def test_the_balancer_is_reached_from_this_machine_alone() -> None:
    """And reaches every instance, lets WebSockets through, writes no query to its log, and believes no client."""
    ports = COMPOSE["services"]["balancer"]["ports"]
    assert ports == ["127.0.0.1:8080:8080"]
    assert not any("ports" in COMPOSE["services"][name] for name in COMPOSE["services"] if name != "balancer")
    assert re.findall(r"server (chat-\w+):8000", NGINX) == INSTANCES
    assert "proxy_set_header Upgrade $http_upgrade;" in NGINX
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in NGINX
    log_line = re.findall(r"log_format .+;", NGINX)[0]
    assert re.findall(r"\$(\w+)", log_line).count("uri") == 1
    assert not {"request", "request_uri", "args", "query_string"} & set(re.findall(r"\$(\w+)", log_line))
    timeout = float(re.findall(r"proxy_read_timeout (\d+)s", NGINX)[0])
    assert timeout > Settings.model_fields["heartbeat_interval_s"].default


def test_the_image_has_what_it_copies() -> None:
    """Each path exists, is let through by ``.dockerignore``, and nobody is root."""
    copied = [path for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for path in line.split()]
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(copied) == set(let_through)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert re.search(r"^USER chat$", DOCKERFILE, re.MULTILINE)


def test_the_image_starts_the_server() -> None:
    """By its own module, with options that it knows."""
    command = json.loads(re.findall(r"^CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[-1])
    assert command[:3] == ["python", "-m", "reference_impl"]
    module = (ROOT / "reference_impl/__main__.py").read_text()
    assert all(f'"{option}"' in module for option in command[3:] if option.startswith("--"))
