"""The gallery as a site: names by content, integrity, caching, and a policy that lets nothing else run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lambdas.gallery import handler as module
from tagstream.errors import ConfigurationError
from tagstream.gallery import Answer, Site

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "gallery"
CONFIG = {
    "auth": {"kind": "cognito", "token_url": "https://login.example/oauth2/token"},
    "stage": "dev",
    "uploads_origin": "https://photos.example",
    "pictures_origins": ["https://photos.example", "https://thumbnails.example"],
}


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(GALLERY, CONFIG)


@pytest.fixture(scope="module")
def page(site: Site) -> str:
    return site.answer("GET", "/", {}).body.decode()


def integrity(body: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}"


def import_map(page: str) -> dict[str, dict[str, str]]:
    found = re.search(r'<script type="importmap">(.*?)</script>', page, re.DOTALL)
    assert found
    read = json.loads(found[1])
    assert isinstance(read, dict)
    return read


def body_of(site: Site, address: str) -> bytes:
    answer = site.answer("GET", address, {})
    assert answer.status == 200, address
    return answer.body


def policy_of(answer: Answer) -> dict[str, list[str]]:
    return {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split("; ")}


def test_every_script_and_style_is_pinned_by_its_content(site: Site, page: str) -> None:
    pinned = re.findall(r'<(?:script|link)[^>]* (?:href|src)="(/assets/[^"]+\.(?:css|m?js))"([^>]*)>', page)
    assert pinned
    for address, rest in pinned:
        assert f'integrity="{integrity(body_of(site, address))}"' in rest
    mapped = import_map(page)
    for address, expected in mapped["integrity"].items():
        assert expected == integrity(body_of(site, address))
    assert set(mapped["imports"].values()) == set(mapped["integrity"])


def test_what_modules_import_is_in_the_import_map(page: str) -> None:
    imports = import_map(page)["imports"]
    for path in sorted(GALLERY.rglob("*.*js")):
        for name in re.findall(r'(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"', path.read_text()):
            wanted = f"/assets/{name.removeprefix('./')}" if name.startswith(".") else name
            assert wanted in imports, f"{path.name} imports {name}"


def test_the_import_map_is_the_only_script_in_the_page_and_allowed_by_its_hash(site: Site, page: str) -> None:
    answer = site.answer("GET", "/", {})
    inline = re.findall(r"<script(?![^>]* src=)[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert policy_of(answer)["script-src"] == ["'self'", f"'sha256-{digest}'"]
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_the_policy_allows_the_buckets_and_the_tokens_and_nobody_else(site: Site) -> None:
    answer = site.answer("GET", "/", {})
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["img-src"] == ["'self'", "blob:", "https://photos.example", "https://thumbnails.example"]
    assert policy["connect-src"] == [
        "'self'",
        "https://photos.example",
        "https://thumbnails.example",
        "https://login.example",
    ]
    assert policy["style-src"] == ["'self'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert policy["trusted-types"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["javascript:alert(1)", "https://a.example; script-src *", "photos.example"])
def test_what_is_no_origin_never_gets_into_the_policy(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="no origin"):
        Site(GALLERY, {**CONFIG, "uploads_origin": origin})


def test_assets_are_kept_for_ever_and_the_page_is_asked_for(site: Site) -> None:
    for path in site.paths:
        answer = site.answer("GET", path, {})
        expected = "public, max-age=31536000, immutable" if path.startswith("/assets/") else "no-cache"
        assert answer.headers["cache-control"] == expected
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = site.answer("GET", path, {"if-none-match": f'"another", W/{answer.headers["etag"]}'})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]


def test_another_content_has_another_name(tmp_path: Path) -> None:
    names = []
    for text in ("one", "two"):
        (tmp_path / "index.html").write_text(
            '<script type="importmap">{"imports": {}}</script><script src="/assets/a.js"></script>'
        )
        (tmp_path / "a.js").write_text(text)
        names.append([path for path in Site(tmp_path, {}).paths if path.startswith("/assets/")])
    assert len({tuple(name) for name in names}) == 2


def test_a_page_that_names_what_is_not_there_is_no_site(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<script type="importmap">{"imports": {"b": "/assets/b.js"}}</script>')
    with pytest.raises(ConfigurationError, match=r"names /assets/b\.js"):
        Site(tmp_path, {})


@pytest.mark.parametrize(
    ("accepted", "packed"), [("gzip, br", True), ("*", True), ("gzip;q=0", False), ("br", False), ("", False)]
)
def test_files_are_packed_for_who_can_unpack_them(site: Site, page: str, accepted: str, packed: bool) -> None:
    answer = site.answer("GET", "/", {"accept-encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert (gzip.decompress(answer.body) if packed else answer.body) == page.encode()
    assert answer.headers["vary"] == "accept-encoding"


def test_only_files_and_only_reading(site: Site) -> None:
    assert site.answer("GET", "/assets/../handler.py", {}).status == 404
    assert site.answer("GET", "/assets/vendor.json", {}).status == 404
    assert site.answer("POST", "/", {}).status == 405
    head = site.answer("HEAD", "/", {})
    assert (head.status, head.body) == (200, b"")


def test_the_function_answers_as_api_gateway_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALLERY_CONFIG", json.dumps(CONFIG))
    module._site.cache_clear()

    def ask(path: str) -> dict[str, Any]:
        event = {"rawPath": path, "headers": {"accept-encoding": "gzip"}, "requestContext": {"http": {"method": "GET"}}}
        answer = module.handler(event, None)
        assert answer["isBase64Encoded"] is True
        return answer

    config = ask("/config.json")
    assert config["statusCode"] == 200
    assert json.loads(gzip.decompress(base64.b64decode(config["body"]))) == CONFIG
    assert ask("/")["headers"]["content-type"] == "text/html; charset=utf-8"
    assert ask("/elsewhere")["statusCode"] == 404
    module._site.cache_clear()


def test_the_libraries_are_those_that_npm_delivers() -> None:
    listed = json.loads((GALLERY / "vendor" / "vendor.json").read_text())
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    files = {path.name for path in (GALLERY / "vendor").iterdir()} - {"vendor.json", "LICENCES.txt"}
    assert files == set(listed)
    for name, about in listed.items():
        body = (GALLERY / "vendor" / name).read_bytes()
        assert integrity(body) == about["integrity"], name
        assert pinned[about["package"]] == about["version"] == locked[f"node_modules/{about['package']}"]["version"]
        installed = ROOT / "node_modules" / about["package"] / about["path"]
        if installed.exists():
            assert installed.read_bytes() == body, f"{name} is not npm's: run 'make gallery'"


def test_all_scripts_together_are_small(site: Site) -> None:
    packed = {
        path: len(site.answer("GET", path, {"accept-encoding": "gzip"}).body)
        for path in site.paths
        if path.endswith(("js", "mjs"))
    }
    assert sum(packed.values()) < 150 * 1024, packed


def test_all_that_the_page_needs_at_first_is_preloaded(page: str) -> None:
    imports = import_map(page)["imports"]

    def reached(address: str, found: set[str]) -> set[str]:
        if address not in found:
            found.add(address)
            name = next(name for name, mapped in imports.items() if mapped == address and name.startswith("/assets/"))
            text = (GALLERY / name.removeprefix("/assets/")).read_text()
            for wanted in re.findall(r'(?:\bfrom|^import)\s*"([^"]+)"', text, re.MULTILINE):
                reached(imports[f"/assets/{wanted[2:]}" if wanted.startswith("./") else wanted], found)
        return found

    preloaded = set(re.findall(r'<link rel="modulepreload" href="([^"]+)"', page))
    assert preloaded == reached(imports["/assets/main.js"], set()) - {imports["/assets/main.js"]}


def test_no_script_makes_markup_of_text() -> None:
    for path in GALLERY.glob("*.js"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|dangerously|\beval\b|Function\(", path.read_text()
        )
        assert not found, f"{path.name}: {found}"


def test_no_file_names_another_host() -> None:
    elsewhere = {"https://www.openstreetmap.org", "http://www.w3.org"}  # a link to follow; a namespace
    for path in [*GALLERY.glob("*.*"), *(GALLERY / "vendor").glob("*.css")]:
        if path.suffix != ".py":
            assert set(re.findall(r"https?://[\w.-]+", path.read_text())) <= elsewhere, path.name


@pytest.mark.skipif(shutil.which("node") is None, reason="Node runs the gallery's modules, and there is none")
@pytest.mark.parametrize("file", ["gallery.mjs", "gallery_session.mjs"])
def test_the_modules(file: str) -> None:
    run = subprocess.run(
        ["node", "--test", "--test-force-exit", "--test-reporter=spec", ROOT / "tests" / "unit" / file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LANG": "en_GB.UTF-8", "NODE_NO_WARNINGS": "1"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
