"""The server does not start unsafe, and says which setting it is about."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from reference_impl.__main__ import main
from reference_impl.settings import Settings, explain

SECRET = "s" * 32


def settings(**given: object) -> Settings:
    return Settings.model_validate({"secret_key": SECRET} | given)


def refusal(**given: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given)
    return explain(refused.value)


def test_there_is_no_secret_by_default() -> None:
    """Outside demo mode one has to be given, and a good one; it is not shown."""
    assert "CHAT_SECRET_KEY" in refusal()
    assert "CHAT_SECRET_KEY" in refusal(secret_key="short-canary")
    assert "canary" not in refusal(secret_key="short-canary")
    assert Settings(demo_login=True).secret_key == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chat.example", ""])
def test_who_can_be_reached_from_elsewhere_has_to_be_safe(host: str) -> None:
    """TLS, or a proxy that does it, or somebody who says that they know."""
    with pytest.raises(ValueError, match=r"TLS.*CHAT_TRUSTED_PROXIES.*CHAT_ALLOW_INSECURE_HOST"):
        settings().require_safe_host(host)
    settings(trusted_proxies="10.0.0.0/8").require_safe_host(host)
    settings(tls_cert_file=__file__, tls_key_file=__file__).require_safe_host(host)
    settings(allow_insecure_host=True).require_safe_host(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_demo_sign_in_is_for_this_machine(host: str) -> None:
    """Whoever could reach it would be whoever they say. TLS does not help against that."""
    for given in ({}, {"trusted_proxies": "10.0.0.1"}, {"tls_cert_file": __file__, "tls_key_file": __file__}):
        with pytest.raises(ValueError, match=r"CHAT_DEMO_LOGIN.*CHAT_ALLOW_INSECURE_HOST"):
            settings(demo_login=True, **given).require_safe_host(host)
    settings(demo_login=True, allow_insecure_host=True).require_safe_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_this_machine_needs_nothing(host: str) -> None:
    """Nobody else hears it."""
    settings().require_safe_host(host)
    settings(demo_login=True).require_safe_host(host)


def test_lists_are_read_as_people_write_them() -> None:
    """Separated by commas, with or without spaces."""
    assert settings(allowed_origins="https://a.example, self").allowed_origins == ("https://a.example", "self")
    assert settings(trusted_proxies="10.0.0.1,::1/128").trusted_proxies == ("10.0.0.1", "::1/128")
    assert settings().allowed_origins == ("self",)
    assert settings().trusted_proxies == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_origins", "https://a.example/path"),
        ("allowed_origins", "a.example"),
        ("allowed_origins", "https://*.example"),
        ("allowed_origins", "null"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "*"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("max_connections_per_ip", "0"),
        ("tls_cert_file", "no-such-file.pem"),
    ],
)
def test_a_bad_value_names_itself(name: str, value: str) -> None:
    """In the words the user wrote."""
    said = refusal(secret_key=SECRET, **{name: value})
    assert said.startswith(f"CHAT_{name.upper()}: ")
    assert value in said


def test_all_pages_is_for_demo_mode() -> None:
    """And half of TLS is none."""
    assert "CHAT_ALLOWED_ORIGINS" in refusal(secret_key=SECRET, allowed_origins="*")
    assert settings(demo_login=True, allowed_origins="*").allowed_origins == ("*",)
    assert "CHAT_TLS_KEY_FILE" in refusal(secret_key=SECRET, tls_cert_file=__file__)


def test_a_password_in_a_url_is_not_shown() -> None:
    """A wrong type is said without the value."""
    assert "canary" not in refusal(secret_key=SECRET, redis_url=["redis://:canary@host"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CHAT_DEMO_LOGIN": "1"}, "CHAT_ALLOW_INSECURE_HOST"),
        ({}, "CHAT_SECRET_KEY"),
        ({"CHAT_SECRET_KEY": SECRET, "CHAT_TLS_CERT_FILE": __file__, "CHAT_TLS_KEY_FILE": __file__}, "no certificate"),
        ({"CHAT_DEMO_LOGIN": "1", "CHAT_ALLOWED_ORIGINS": "x"}, "CHAT_ALLOWED_ORIGINS"),
    ],
)
def test_a_start_that_is_refused_is_one_line(
    given: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Exit code 2, and no traceback."""
    monkeypatch.chdir(tmp_path)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(["--host", "0.0.0.0", "--port", "0"]) == 2
    complained = capsys.readouterr().err
    assert said in complained
    assert len(complained.splitlines()) == 1
