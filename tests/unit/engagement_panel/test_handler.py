"""What the page's function answers, and what it never does."""

from __future__ import annotations

import gzip
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from functions.engagement_panel.files import Files
from functions.engagement_panel.handler import NAME, Ports, handle, make_ports
from functions.engagement_panel.settings import PanelSettings
from shared.errors import SettingInvalid
from tests.support.api import problem
from tests.support.function import is_error

FOLDER = Path(__file__).parents[3] / "functions" / "engagement_panel"
SETTINGS = {"supabase_url": "https://ref.api.test", "supabase_publishable_key": "sb_publishable_abc"}
REFUSED = problem(401, "42501", "permission denied for schema mgmt")


def token(role: str) -> str:
    """A key of the older kind."""
    return jwt.encode({"role": role}, "x" * 32)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def client(
    answer: httpx.Response | Exception = REFUSED,
    asked: list[httpx.Request] | None = None,
    clock: Clock | None = None,
    settings: dict[str, str] | None = None,
) -> httpx.AsyncClient:
    """The function over HTTP; what it asks of the project is answered so."""

    def reply(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made: list[Ports] = []

    def ports() -> Ports:
        if not made:
            loaded = PanelSettings.load(**(settings or SETTINGS))
            made.append(make_ports(loaded, monotonic=clock or Clock(), transport=httpx.MockTransport(reply)))
        return made[0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive), ports)
        await response(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://panel.test")


class Page(HTMLParser):
    """What a browser would load, run or style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.named: list[str] = []
        self.inline: list[str] = []
        self.meta: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._open = tag if tag in {"script", "style"} else ""
        self.named += [given[name] or "" for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name.startswith("on") or name in {"style", "srcdoc"}]
        if tag == "meta" and "name" in given:
            self.meta[given["name"] or ""] = given["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.inline.append(data)


# ------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("path", ["", "/", f"/{NAME}", f"/{NAME}/", f"/{NAME}/{NAME}/"])
async def test_the_page_is_found_with_and_without_the_functions_name(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_whatever_the_page_names_is_there_wherever_it_was_opened() -> None:
    async with client() as http:
        for opened in ("http://panel.test/", f"http://panel.test/{NAME}", f"http://panel.test/{NAME}/"):
            page = Page((await http.get(opened)).text)
            files = [name for name in page.named if not name.startswith("#")]
            assert len(files) >= 10
            for name in files:
                found = await http.get(httpx.URL(opened).join(name))
                assert found.status_code == 200, name
                assert found.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_modules_name_only_files_that_are_there() -> None:
    names = set(Files.read().assets)
    for name, file in Files.read().assets.items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            assert {f"{one}" for one in re.findall(r'from "\./([^"]+)"', file.body.decode())} <= names


async def test_the_policy_allows_our_files_and_the_project_and_nothing_else() -> None:
    async with client() as http:
        headers = (await http.get("/")).headers
    assert dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; ")) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "https://ref.api.test",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


async def test_nothing_in_the_page_needs_a_weaker_policy() -> None:
    async with client() as http:
        page = Page((await http.get("/")).text)
    assert page.inline == []
    assert [name for name in page.named if "://" in name or name.startswith("//")] == []


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", f"/assets/{Files.read().version}/style.css"])
async def test_every_answer_is_hardened(path: str) -> None:
    async with client() as http:
        headers = (await http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-request-id"]


@pytest.mark.parametrize("path", ["/health", "/nothing", "/assets/0000000000000000/style.css"])
async def test_only_the_page_and_its_files_are_kept(path: str) -> None:
    async with client() as http:
        assert (await http.get(path)).headers["cache-control"] == "no-store"
        assert (await http.post("/")).headers["cache-control"] == "no-store"


async def test_the_page_is_told_the_project_and_its_public_key_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "ATTEND_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "sb_secret_hunter2")
    async with client() as http:
        answer = await http.get("/")
    page = Page(answer.text)
    assert page.meta["attend-url"] == "https://ref.api.test"
    assert page.meta["attend-key"] == "sb_publishable_abc"
    assert "hunter2" not in answer.text
    assert "hunter2" not in str(PanelSettings.load(**SETTINGS))


async def test_a_setting_with_markup_stays_text() -> None:
    nasty = """k"><script>alert('x')</script>"""
    async with client(settings={"supabase_url": "https://a.test/'\"><img>", "supabase_publishable_key": nasty}) as http:
        page = Page((await http.get("/")).text)
    assert page.meta["attend-key"] == nasty
    assert page.inline == []


# ------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "key",
    [
        *("sb_secret_abc", " sb_secret_abc", '"sb_secret_abc"'),
        jwt.encode({"role": "service_role"}, "x" * 32),
        jwt.encode({"role": "authenticated"}, "x" * 32),
    ],
)
@pytest.mark.parametrize("variable", ["supabase_publishable_key", "supabase_anon_key"])
async def test_a_key_that_is_secret_is_refused_and_not_repeated(key: str, variable: str) -> None:
    settings = {"supabase_url": "https://ref.api.test", variable: key}
    with pytest.raises(SettingInvalid):
        PanelSettings.load(**settings)
    async with client(settings=settings) as http:
        answer = await http.get("/")
    is_error(answer, 500, "setting_invalid")
    assert answer.json()["details"] == {"variable": variable.upper()}
    assert key.strip('" ') not in answer.text


@pytest.mark.parametrize("key", ["sb_publishable_x", "a.b.c", "a.bm90IGpzb24.c", "a.W10.c", token("anon")])
def test_other_keys_are_taken(key: str) -> None:
    assert PanelSettings.load(supabase_url="https://a.test", supabase_anon_key=key).key == key


@pytest.mark.parametrize("key", ["k\n", "k k", "k\u00e5"])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    with pytest.raises(SettingInvalid):
        PanelSettings.load(supabase_url="https://a.test", supabase_anon_key=key)


def test_the_newer_key_wins() -> None:
    assert PanelSettings.load(**SETTINGS, supabase_anon_key="older").key == "sb_publishable_abc"


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"supabase_publishable_key": "k"}, "SUPABASE_URL"),
        ({"supabase_url": "https://a.test"}, "SUPABASE_PUBLISHABLE_KEY"),
    ],
)
async def test_a_missing_setting_is_named_and_health_and_files_do_without(
    settings: dict[str, str], missing: str
) -> None:
    async with client(settings=settings) as http:
        answer = await http.get("/")
        is_error(answer, 500, "setting_missing")
        assert answer.json()["details"] == {"variable": missing}
        assert (await http.get("/health")).status_code == 200
        assert (await http.get(f"/assets/{Files.read().version}/style.css")).status_code == 200


# ------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/page.html",
        "/settings.py",
        "/assets",
        "/assets/",
        "/assets/style.css",
        "/assets/{version}",
        "/assets/{version}/",
        "/assets/{version}/../page.html",
        "/assets/{version}/..%2fpage.html",
        "/assets/{version}/%2e%2e/%2e%2e/settings.py",
        "/assets/{version}//etc/passwd",
        "/assets/{version}/vendor",
        "/assets/{version}/vendor/../../main.py",
        "/assets/{version}/style.css%00",
        "/assets/0000000000000000/style.css",
        f"/{NAME}-other",
        "/engagement_panel",
    ],
)
async def test_nothing_else_is_served(path: str) -> None:
    async with client() as http:
        # Not through the client's own tidying of paths.
        url = httpx.URL("http://panel.test").copy_with(raw_path=path.format(version=Files.read().version).encode())
        answer = await http.get(url)
    is_error(answer, 404, "unknown_path")


@pytest.mark.parametrize("path", ["/", "/health", "/health/deep", f"/assets/{Files.read().version}/style.css"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_is_written(path: str, method: str) -> None:
    async with client() as http:
        answer = await http.request(method, path)
    is_error(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_files_are_sent_compressed_to_whoever_takes_it_and_are_the_same() -> None:
    async with client() as http:
        for name, file in Files.read().assets.items():
            path = f"/assets/{Files.read().version}/{name}"
            plain = await http.get(path, headers={"accept-encoding": "identity"})
            packed = await http.get(path, headers={"accept-encoding": "gzip, br"})
            assert plain.content == packed.content == (FOLDER / "assets" / name).read_bytes() == file.body
            assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
            assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
            assert gzip.decompress(file.compressed) == file.body


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        *(("gzip", True), ("GZIP", True), ("br;q=1, gzip;q=0.5", True), ("gzip ; q=1", True), ("*", True)),
        *(
            ("gzip;q=0", False),
            ("gzip; q=0.000, *", False),
            ("*;q=0", False),
            ("", False),
            ("br", False),
            ("gzipped", False),
        ),
    ],
)
async def test_nobody_is_sent_what_they_refuse(accepted: str, is_packed: bool) -> None:
    async with client() as http:
        answer = await http.get("/", headers={"accept-encoding": accepted})
    assert ("content-encoding" in answer.headers) == is_packed


def test_one_changed_byte_is_another_address(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "panel", ignore=shutil.ignore_patterns("__pycache__"))
    version = Files.read(tmp_path / "panel").version
    assert version == Files.read().version
    with (tmp_path / "panel" / "assets" / "vendor" / "chart.umd.min.js").open("ab") as file:
        file.write(b" ")
    assert Files.read(tmp_path / "panel").version != version


# ------------------------------------------------------------------------------------------- health


async def test_shallow_health_asks_nobody() -> None:
    asked: list[httpx.Request] = []
    async with client(httpx.ConnectError("no"), asked) as http:
        for path in ("/health", f"/{NAME}/health", "/health/"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok", "function": NAME})
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (REFUSED, None),
        (problem(403, "42501"), None),
        (httpx.ConnectError("no"), "api_unreachable"),
        (httpx.ReadTimeout("no"), "api_unreachable"),
        (problem(401, "PGRST301"), "api_refuses_key"),
        (httpx.Response(401, json={"message": "Invalid API key"}), "api_refuses_key"),
        (problem(406, "PGRST106"), "panel_not_there"),
        (problem(404, "PGRST205"), "panel_not_there"),
        (problem(503, "57P01"), "database_unavailable"),
        (httpx.Response(502, text="<html>"), "database_unavailable"),
        (httpx.Response(200, json=[{"reader_name": "anybody"}]), "unexpected_answer"),
    ],
    ids=str,
)
async def test_deep_health_says_what_is_in_the_way(answer: httpx.Response | Exception, found: str | None) -> None:
    asked: list[httpx.Request] = []
    async with client(answer, asked) as http:
        said = await http.get("/health/deep")
    assert (said.status_code, said.json()["status"]) == ((503, "not_ok") if found else (200, "ok"))
    assert said.json().get("problem") == found
    (request,) = asked
    assert str(request.url) == "https://ref.api.test/rest/v1/panel_reader"
    assert (request.headers["apikey"], request.headers["accept-profile"]) == ("sb_publishable_abc", "mgmt")
    assert "authorization" not in request.headers


async def test_whoever_asks_often_is_answered_from_memory() -> None:
    asked: list[httpx.Request] = []
    clock = Clock()
    async with client(REFUSED, asked, clock) as http:
        for clock.now in (0.0, 1.0, 4.9):
            await http.get("/health/deep")
        assert len(asked) == 1
        clock.now = 5.1
        await http.get("/health/deep")
    assert len(asked) == 2
