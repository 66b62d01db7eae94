"""The connection to OpenSearch: JSON over HTTP, signed for Amazon's.

In place of the official client, whose import was a third of what a function's took (docs/performance.md): urllib3 and
botocore are in the bundles anyway.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from tagstream.errors import CatalogError, ConfigurationError

__all__ = ["Client", "NotFound", "OpenSearchError", "connect"]

_POOL = 10
"""Connections that are kept; more threads than that open further ones."""
_AT_MOST = 32 * 1024 * 1024
"""Bytes of an answer: ten thousand documents are half of that."""
_SHOWN = 200
"""Characters of an answer that is no JSON."""
_REASON = 1000
"""Characters of the reason that OpenSearch gives, which may repeat the whole query."""

Json: TypeAlias = Mapping[str, Any]
Sign: TypeAlias = Callable[[str, str, bytes | None], Mapping[str, str]]
"""The headers that sign a request: its method, its path with the query as they are sent, its body."""


class OpenSearchError(CatalogError):
    """OpenSearch refused a request, answered nothing of use, or did not answer.

    ``status`` is that of HTTP, None where there was no answer; ``type`` and ``reason`` are OpenSearch's own words, ""
    where it gave none: ``resource_already_exists_exception``, say.
    """

    def __init__(self, said: str, *, status: int | None = None, type: str = "", reason: str = "") -> None:
        super().__init__(f"OpenSearch did not do as asked: {said}")
        self.status, self.type, self.reason = status, type, reason


class NotFound(OpenSearchError):
    """What the request names is not there: status 404."""


class Client:
    """The OpenSearch behind a pool of connections. Threads may share it; whoever made it may close it."""

    def __init__(self, pool: HTTPConnectionPool, *, timeout: float, sign: Sign | None = None) -> None:
        """``timeout`` is in seconds, ``sign`` for a service that wants signatures: see :func:`connect`."""
        self._pool, self._timeout, self._sign = pool, timeout, sign

    def request(
        self,
        method: str,
        path: str,
        body: Json | Sequence[Json] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        at_most: int = _AT_MOST,
    ) -> dict[str, Any]:
        """What OpenSearch answers, an object; ``{}`` to HEAD.

        ``path`` is as OpenSearch's documents have it but for the leading slash, ``imagerepository/_search``, and not
        quoted. A sequence of objects as the body is sent with one in each line, as ``_bulk`` takes it. An answer of
        more than ``at_most`` bytes is an error. Raises :class:`NotFound` and :class:`OpenSearchError`.
        """
        # As they are on the wire: what was signed is what is sent, and urllib3 finds nothing to quote.
        target = "/" + quote(path, safe="/,*")
        if params:
            target += "?" + urlencode(params, quote_via=quote, safe="")
        data, headers = None, {}
        if isinstance(body, Sequence):
            data, headers = b"".join(map(_line, body)), {"Content-Type": "application/x-ndjson"}
        elif body is not None:
            data, headers = _line(body), {"Content-Type": "application/json"}
        if self._sign is not None:
            headers |= self._sign(method, target, data)
        status, content = self._send(method, target, data, headers, at_most)
        if not 200 <= status < 300:
            raise _refusal(status, content)
        return {} if method == "HEAD" else _object(status, content)

    def close(self) -> None:
        """Close all connections that are not in use; this client asks no more."""
        self._pool.close()

    def _send(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str], at_most: int
    ) -> tuple[int, bytes]:
        """The status and the content of the answer, whatever they are."""
        try:
            answer = self._pool.urlopen(
                method,
                target,
                data,
                headers,
                # A queue stands behind every write, and a retry would outlast the function.
                retries=False,
                redirect=False,
                timeout=Timeout(total=self._timeout),
                preload_content=False,
                decode_content=False,
            )
            try:
                content = answer.read(at_most + 1)
            finally:
                # A connection whose answer was read to its end is back in the pool by now.
                answer.close()
        except HTTPError as error:
            raise OpenSearchError(f"it did not answer: {error}") from error
        if len(content) > at_most:
            raise OpenSearchError(f"its answer is longer than {at_most:,} bytes", status=answer.status)
        if answer.length_remaining:
            raise OpenSearchError(f"its answer broke off after {len(content):,} bytes", status=answer.status)
        return answer.status, content


def connect(endpoint: str, *, timeout: float = 3.0) -> Client:
    """A client of the OpenSearch at ``endpoint``, a full URL; a request takes at most ``timeout`` seconds.

    Requests over https are signed for Amazon OpenSearch Service with the role of the process, whose credentials are
    renewed as they expire; over http (the local cloud) they are not. Nothing is retried, and no redirect followed.
    """
    scheme, host, port = _parts(endpoint)
    if scheme == "http":
        plain = HTTPConnectionPool(host, port, maxsize=_POOL)
        plain.ConnectionCls = _Connection
        return Client(plain, timeout=timeout)
    # botocore alone: boto3 would add its own start-up time to every cold start.
    from botocore.httpsession import get_cert_path
    from botocore.session import get_session

    session = get_session()
    credentials, region = session.get_credentials(), session.get_config_variable("region")
    if credentials is None or not region:
        raise ConfigurationError("there are no AWS credentials or no region to sign requests to OpenSearch with")
    trusted = session.get_config_variable("ca_bundle") or get_cert_path(True)
    pool = HTTPSConnectionPool(host, port, maxsize=_POOL, cert_reqs="CERT_REQUIRED", ca_certs=trusted)
    pool.ConnectionCls = _SecureConnection
    return Client(pool, timeout=timeout, sign=_signer(endpoint.rstrip("/"), credentials, region))


def _parts(endpoint: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL that has nothing else."""
    try:
        url = urlsplit(endpoint)
        scheme, host, port = url.scheme, url.hostname, url.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"the OpenSearch endpoint must be an http(s) URL, not {endpoint!r}")
    if url.path not in ("", "/") or url.query or url.fragment or url.username is not None:
        raise ConfigurationError(
            f"the OpenSearch endpoint must be an http(s) URL of a host and a port alone, not {endpoint!r}"
        )
    return scheme, host, port or {"http": 80, "https": 443}[scheme]


def _signer(endpoint: str, credentials: Any, region: str) -> Sign:
    """Signs with what botocore's ``credentials`` are at that moment."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError

    def sign(method: str, target: str, body: bytes | None) -> Mapping[str, str]:
        request = AWSRequest(method=method, url=endpoint + target, data=body)
        try:
            # All three parts of one and the same key: it may be renewed while it is being read.
            signing = SigV4Auth(credentials.get_frozen_credentials(), "es", region)
        except (BotoCoreError, RuntimeError) as error:
            raise OpenSearchError(f"there are no credentials to sign the request with: {error}") from error
        request.headers["X-Amz-Content-SHA256"] = signing.payload(request)
        signing.add_auth(request)
        return dict(request.headers.items())

    return sign


def _line(value: Json) -> bytes:
    """As a line of JSON. What is no Unicode goes through: OpenSearch refuses that, and says so of the one document."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def _object(status: int, content: bytes) -> dict[str, Any]:
    value = _json(content)
    if not isinstance(value, dict):
        raise OpenSearchError(f"its answer is no JSON object: {_shown(content)}", status=status)
    return value


def _refusal(status: int, content: bytes) -> OpenSearchError:
    """What an answer that is none of success says, whoever gave it: OpenSearch, Amazon's gate before it, a proxy."""
    value = _json(content)
    about = value if isinstance(value, dict) else {}
    error = about.get("error")
    kind = reason = ""
    if isinstance(error, dict):
        # Where shards failed, the first of their causes says why.
        causes = error.get("root_cause")
        cause = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], dict) else {}
        kind, reason = _text(error.get("type")), _text(cause.get("reason")) or _text(error.get("reason"))
    else:
        reason = _text(error) or _text(about.get("Message")) or _text(about.get("message"))
    said = ": ".join(filter(None, (f"{status} {kind}".rstrip(), reason or (_shown(content) if not kind else ""))))
    made = NotFound if status == 404 else OpenSearchError
    return made(said, status=status, type=kind, reason=reason)


def _text(value: object) -> str:
    return value[:_REASON] if isinstance(value, str) else ""


def _shown(content: bytes) -> str:
    """The beginning of what is no JSON, on one line."""
    return " ".join(content[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN]


def _json(content: bytes) -> Any:
    """None for what is none, or nested more deeply than can be read."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


class _Until(io.RawIOBase):
    """What comes over a socket until a moment: its own timeout starts anew with every byte that drips in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._moment = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._moment - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that must be whole, headers and all, in the time that is its socket's timeout when it is begun."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = io.BufferedReader(_Until(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer
