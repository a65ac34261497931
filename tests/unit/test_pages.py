"""The pages' files and headers, in process."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from reference_impl.api.pages import WEB, content_security_policy
from reference_impl.app import create_app
from reference_impl.settings import Settings

SECRET = "s" * 32
ORIGIN = "http://127.0.0.1:8001"


def _settings(tmp_path: Path, **changes: object) -> Settings:
    given = {"secret_key": SECRET, "database_url": f"sqlite:///{tmp_path}/chat.db", "demo_login": True}
    return Settings.model_validate(given | changes)


@pytest_asyncio.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(_settings(tmp_path, peer_urls=f"{ORIGIN}, http://127.0.0.1:8002"))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def test_the_chat_page_is_under_a_strict_policy(http: httpx2.AsyncClient) -> None:
    """No inline code, no other origin's files, no form, no frame elsewhere; and the browser does not guess types."""
    answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    own = ["ws://127.0.0.1:8000", "wss://127.0.0.1:8000"]
    peers = [f"{scheme}://127.0.0.1:{port}" for port in (8001, 8002) for scheme in ("http", "ws")]
    assert policy["connect-src"].split() == ["'self'", *own, *peers]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_outside_demo_mode_a_page_talks_to_its_own_server_only(tmp_path: Path) -> None:
    """And pages of other origins may show it in a frame only if they may use the server, too."""
    settings = _settings(tmp_path, demo_login=False, allowed_origins="self, https://portal.example")
    policy = content_security_policy(settings, "chat.example")
    assert "connect-src 'self' ws://chat.example wss://chat.example;" in policy
    assert policy.endswith("frame-ancestors 'self' https://portal.example")


@pytest.mark.parametrize("host", ["evil; script-src *", "a b", "x'", "", "[::1]:8000"])
def test_a_strange_host_does_not_get_into_the_policy(tmp_path: Path, host: str) -> None:
    """What a request says of itself is no part of a policy unless it is a host."""
    policy = content_security_policy(_settings(tmp_path, demo_login=False), host)
    assert "connect-src 'self';" in policy


async def test_the_page_names_only_files_that_are_there(http: httpx2.AsyncClient) -> None:
    """Every script, style and import exists, is served with its type, and is not sent twice (ETag)."""
    named = set(re.findall(r'(?:src|href)="(static/[^"]+)"', (WEB / "index.html").read_text()))
    for script in WEB.glob("*.js"):
        named |= {f"static/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert "static/chat-client.js" in named
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for name in sorted(named):
        answer = await http.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(types[Path(name).suffix])
        again = await http.get(f"/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/", "/static/none.js", "/static/%2e%2e/app.py", "/static/..%2fapp.py"])
async def test_nothing_else_is_served(http: httpx2.AsyncClient, path: str) -> None:
    """No listing, no file outside the folder."""
    answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_there_is_nothing_inline_and_nothing_from_elsewhere() -> None:
    """What the policy would stop is not there: no inline script or style, no handler, no HTML made from text."""
    for page in WEB.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://|src=\"//", text), page.name
    for file in (*WEB.glob("*.js"), *WEB.glob("*.css")):
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), file
        assert not re.search(r"(from|import|url)\s*\(?[\"']https?:", text), file


async def test_a_page_learns_where_else_to_go(http: httpx2.AsyncClient) -> None:
    """Before anybody has signed in; and a page of another instance of this machine may ask, too."""
    answer = await http.get("/api/v1/page-config", headers={"Origin": ORIGIN})
    config = answer.json()
    assert config["demo_login"] is True
    assert config["max_message_bytes"] == 65536
    assert config["peer_urls"] == [ORIGIN, "http://127.0.0.1:8002"]
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin", ["null", "https://127.0.0.1", "http://127.0.0.1.evil.example", "http://evil.example"]
)
async def test_pages_from_elsewhere_may_not_read_answers(http: httpx2.AsyncClient, origin: str) -> None:
    """Without the header a browser keeps the answer from them."""
    answer = await http.get("/api/v1/page-config", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers
