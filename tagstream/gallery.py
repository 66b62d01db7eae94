"""The gallery's files as a web site: named by their content, pinned by it, and nothing else may run. Pure.

The page names its files plainly (``/assets/grid.js``), and so do the modules that import one another. Here each gets
the beginning of its hash into its name (``/assets/grid.3f2a9c01b2d4.js``), so that browsers may keep it for ever, and
the page's import map says which is which, with their integrity: there is no build step, and nothing to forget.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tagstream.errors import ConfigurationError

__all__ = ["Answer", "Site", "content_security_policy"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
_ASSET = re.compile(r'(?P<attribute>href|src)="/assets/(?P<name>[^"]+)"')
_IMPORT_MAP = re.compile(r'(?P<open><script type="importmap">)(?P<json>.*?)(?P<close></script>)', re.DOTALL)

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "strict-transport-security": "max-age=63072000",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class _File:
    """A file as it is sent: ``packed`` is its gzip."""

    body: bytes
    packed: bytes
    headers: Mapping[str, str]

    @property
    def etag(self) -> str:
        return f'"{_hash(self.body)}"'


class Site:
    """The files of ``folder``, of which ``index.html`` is the page, and ``config``: what ``/config.json`` tells it.

    Of ``config``, the origins of ``uploads_origin``, ``pictures_origins`` (a list) and ``auth.token_url`` are those
    that the page may talk to besides its own. Raises :class:`ConfigurationError` for a page that names what is not
    there, and for origins that are none.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.suffix not in (".html", ".json")
        }
        names = {name: _hashed(name, body) for name, body in files.items()}
        page, import_map = _page((folder / "index.html").read_text(encoding="utf-8"), files, names)
        policy = content_security_policy(config, import_map)
        self._files = {
            f"/assets/{names[name]}": _file(body, Path(name).suffix, _FOR_EVER) for name, body in files.items()
        }
        self._files["/"] = _file(page.encode(), ".html", _ASK_FIRST, {"content-security-policy": policy})
        self._files["/config.json"] = _file(json.dumps(config, sort_keys=True).encode(), ".json", _ASK_FIRST)

    @property
    def paths(self) -> list[str]:
        """The paths that there is something at."""
        return sorted(self._files)

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a request; ``headers`` are its, with names in lower case."""
        if method not in ("GET", "HEAD"):
            return _plain(405, "The gallery's files can only be read.", allow="GET, HEAD")
        file = self._files.get(path)
        if file is None:
            return _plain(404, "There is no such file: load the gallery again.")
        about = {**_HEADERS, **file.headers, "etag": file.etag, "vary": "accept-encoding"}
        if _names(headers.get("if-none-match", ""), file.etag):
            return Answer(304, about)
        if _accepts_gzip(headers.get("accept-encoding", "")):
            return Answer(200, {**about, "content-encoding": "gzip"}, file.packed if method == "GET" else b"")
        return Answer(200, about, file.body if method == "GET" else b"")


def content_security_policy(config: Mapping[str, Any], import_map: str) -> str:
    """What the page may load and do: its own files, the buckets' pictures, and no script that is not one of its files.

    Trusted types are demanded and none can be made: no text becomes markup or script, wherever it comes from.
    """
    buckets = _origins([config.get("uploads_origin"), *config.get("pictures_origins", [])])
    tokens = _origins([(config.get("auth") or {}).get("token_url")])
    pictures = " ".join(["'self'", "blob:", *buckets])
    talks_to = " ".join(dict.fromkeys(["'self'", *buckets, *tokens]))
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'sha256-{base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()}'",
            "style-src 'self'",
            f"img-src {pictures}",
            f"connect-src {talks_to}",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _origins(urls: Iterable[str | None]) -> list[str]:
    """The origins of absolute URLs; a path of the page's own origin needs none."""
    found = []
    for url in urls:
        if not url or url.startswith("/"):
            continue
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        # What goes into a header must not say more than the name of a host.
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", origin):
            raise ConfigurationError(f"{url!r} has no origin that the gallery could talk to, such as https://host")
        found.append(origin)
    return list(dict.fromkeys(found))


def _page(text: str, files: Mapping[str, bytes], names: Mapping[str, str]) -> tuple[str, str]:
    """The page with the files' hashed names and their integrity; and its import map, which the policy names."""

    def known(name: str) -> str:
        if name not in files:
            raise ConfigurationError(f"index.html names /assets/{name}, and there is no such file")
        return f"/assets/{names[name]}"

    found = _IMPORT_MAP.search(text)
    if found is None:
        raise ConfigurationError('index.html has no <script type="importmap">')
    packages = {
        name: known(address.removeprefix("/assets/")) for name, address in json.loads(found["json"])["imports"].items()
    }
    modules = {name: body for name, body in files.items() if Path(name).suffix in (".js", ".mjs")}
    import_map = json.dumps(
        {
            "imports": packages | {f"/assets/{name}": f"/assets/{names[name]}" for name in modules},
            "integrity": {f"/assets/{names[name]}": _integrity(body) for name, body in modules.items()},
        },
        sort_keys=True,
    )

    def pinned(match: re.Match[str]) -> str:
        name = html.unescape(match["name"])
        address = f'{match["attribute"]}="{known(name)}"'
        return (
            f'{address} integrity="{_integrity(files[name])}"' if not name.endswith((".svg", "manifest")) else address
        )

    before, after = text[: found.start()], text[found.end() :]
    page = _ASSET.sub(pinned, before) + found["open"] + import_map + found["close"] + _ASSET.sub(pinned, after)
    return page, import_map


def _file(body: bytes, suffix: str, caching: str, headers: Mapping[str, str] | None = None) -> _File:
    about = {"content-type": _TYPES[suffix], "cache-control": caching, **(headers or {})}
    return _File(body, gzip.compress(body, 9, mtime=0), about)


def _plain(status: int, text: str, **headers: str) -> Answer:
    about = {**_HEADERS, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **headers}
    return Answer(status, about, f"{text}\n".encode())


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _hashed(name: str, body: bytes) -> str:
    path = Path(name)
    return f"{path.stem}.{_hash(body)}{path.suffix}"


def _integrity(body: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}"


def _names(header: str, etag: str) -> bool:
    """Whether an If-None-Match names this; proxies that compress make tags weak."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header.split(","))


def _accepts_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() in ("gzip", "*") and not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters):
            return True
    return False
