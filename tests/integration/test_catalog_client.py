"""The connection to OpenSearch over real sockets: what goes out, and what may come back of an ill-behaved server."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from opensearchpy import OpenSearch

from benchmarks.starts import self_signed
from tagstream.catalog.client import Client, NotFound, OpenSearchError, connect
from tagstream.errors import CatalogError

OBJECT = b'{"hits":{"total":3}}'


def plain(content: bytes = OBJECT, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Request:
    """A request as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body

    def __repr__(self) -> str:
        return f"{self.method} {self.target}"


class Server:
    """Answers each request on a socket with what ``answer`` yields for it; afterwards closes it, if told to."""

    def __init__(self, answer: Callable[[Request], Iterator[bytes]], context: ssl.SSLContext | None = None) -> None:
        self._answer, self._context = answer, context
        self.closes = False
        self.connections = 0
        self.requests: list[Request] = []
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._accepted: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def pause(self, seconds: float) -> None:
        """Ends at once, with an error, when the server is to end."""
        if self._ended.wait(seconds):
            raise OSError("the server ends")

    def close(self) -> None:
        self._ended.set()
        # Closing alone does not wake up who accepts or reads.
        for one in (self._socket, *self._accepted):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            accepted.settimeout(60)
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(accepted,)))
            self._threads[-1].start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            if self._context is not None:
                accepted = self._context.wrap_socket(accepted, server_side=True)
            self._accepted.append(accepted)
            with accepted, accepted.makefile("rb") as file:
                while head := b"".join(takewhile(b"\r\n".__ne__, iter(file.readline, b""))).rstrip(b"\r\n"):
                    request = Request(head, b"")
                    request.body = file.read(int(request.headers.get("content-length", 0)))
                    self.requests.append(request)
                    for part in self._answer(request):
                        accepted.sendall(part)
                    if self.closes:
                        return


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[Request], Iterator[bytes]] | bytes = b"", **more: Any) -> Server:
        content = answer or plain()
        made = Server((lambda _: iter([content])) if isinstance(content, bytes) else content, **more)
        servers.append(made)
        return made

    yield start
    for server in servers:
        server.close()


@contextmanager
def connected(server: Server, *, timeout: float = 30) -> Iterator[Client]:
    """The time is long: a test that needs it ends by the test's own limit rather than sometimes succeed."""
    client = connect(server.url, timeout=timeout)
    try:
        yield client
    finally:
        client.close()


# What goes out.


def test_the_official_client_would_send_the_same(serve: Callable[..., Server]) -> None:
    server = serve()
    official = OpenSearch(server.url, timeout=30, max_retries=0)
    name, alias, body, lines = "cats-v*", "cats", {"query": {"term": {"tag": "Käse"}}}, [{"create": {}}, {"k": "ö\n"}]
    with connected(server) as client:
        for theirs, ours in (
            (lambda: official.search(index=alias, body=body), ("POST", f"{alias}/_search", body)),
            (lambda: official.mget(index=alias, body=body), ("POST", f"{alias}/_mget", body)),
            (lambda: official.bulk(body=lines, params={"require_alias": "true"}), ("POST", "_bulk", lines)),
            (lambda: official.delete_by_query(index=alias, body=body), ("POST", f"{alias}/_delete_by_query", body)),
            (lambda: official.reindex(body=body), ("POST", "_reindex", body)),
            (lambda: official.indices.get_alias(index=name), ("GET", f"{name}/_alias")),
            (lambda: official.indices.get_alias(name=alias), ("GET", f"_alias/{alias}")),
            (lambda: official.indices.exists_alias(name=alias), ("HEAD", f"_alias/{alias}")),
            (lambda: official.indices.put_alias(index="a", name=alias), ("PUT", f"a/_alias/{alias}")),
            (lambda: official.indices.update_aliases(body=body), ("POST", "_aliases", body)),
            (lambda: official.indices.create(index="a", body=body), ("PUT", "a", body)),
            (lambda: official.indices.delete(index="a,b"), ("DELETE", "a,b")),
            (lambda: official.indices.get_mapping(index="a"), ("GET", "a/_mapping")),
            (lambda: official.indices.get_settings(index="a"), ("GET", "a/_settings")),
            (lambda: official.indices.put_settings(index="a", body=body), ("PUT", "a/_settings", body)),
            (lambda: official.indices.refresh(index="a"), ("POST", "a/_refresh")),
            (lambda: official.indices.add_block(index="a", block="write"), ("PUT", "a/_block/write")),
            (lambda: official.get(index="a", id="1 ☃"), ("GET", "a/_doc/1 ☃")),
        ):
            server.requests.clear()
            theirs()
            client.request(*ours, params={"require_alias": "true"} if ours[1] == "_bulk" else None)  # type: ignore[arg-type]
            one, two = server.requests
            assert (one.method, one.target, one.body.rstrip()) == (two.method, two.target, two.body.rstrip())
            assert "content-encoding" not in two.headers
            assert two.headers["accept-encoding"] == "identity"
            if two.body:
                assert two.headers["content-type"].startswith("application/")
                assert json.loads(two.body.splitlines()[0]) is not None
    official.close()
    kinds = {request.headers.get("content-type") for request in server.requests}
    assert kinds <= {"application/json", "application/x-ndjson", None}


def test_connections_are_kept_whatever_is_answered(serve: Callable[..., Server]) -> None:
    answers = iter(
        [
            plain(),
            plain(b'{"error":"none"}', "404 Not Found"),
            plain(b"<html>", "503 Service Unavailable"),
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            plain(b"text"),
            plain(),
        ]
    )
    server = serve(lambda _: iter([next(answers)]))
    with connected(server) as client:
        assert client.request("GET", "a") == json.loads(OBJECT)
        for method, error in (("GET", NotFound), ("GET", OpenSearchError), ("HEAD", NotFound)):
            with pytest.raises(error):
                client.request(method, "a")
        assert client.request("GET", "a") == {}
        with pytest.raises(OpenSearchError, match="no JSON object: text"):
            client.request("GET", "a")
        assert client.request("GET", "a") == json.loads(OBJECT)
    assert (server.connections, len(server.requests)) == (1, 7)


def test_a_kept_connection_that_the_server_has_closed_is_not_used_again(serve: Callable[..., Server]) -> None:
    server = serve()
    server.closes = True
    with connected(server) as client:
        for _ in range(5):
            assert client.request("GET", "a") == json.loads(OBJECT)
            # Until the end of the connection is here.
            kept: Any = client._pool.pool.queue[-1]  # type: ignore[union-attr]
            assert kept.sock.recv(1) == b""
    assert server.connections == 5


def test_threads_share_it(serve: Callable[..., Server]) -> None:
    server = serve(lambda request: iter([plain(json.dumps({"path": request.target}).encode())]))
    wrong: list[Any] = []
    with connected(server) as client:

        def work(number: int) -> None:
            for turn in range(20):
                path = f"{number}-{turn}"
                if client.request("GET", path) != {"path": f"/{path}"}:
                    wrong.append(path)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert len(server.requests) == 160


# What may come back.


def test_nobody_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = connect(f"http://127.0.0.1:{port}")
    with pytest.raises(CatalogError, match=r"OpenSearch did not do as asked: it did not answer: .*refused"):
        client.request("GET", "a")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\n\r\n",
    ],
)
def test_an_endless_answer_is_not_read_to_its_end(serve: Callable[..., Server], head: bytes) -> None:
    sent = 0

    def endless(_: Request) -> Iterator[bytes]:
        nonlocal sent
        yield head
        while True:
            yield b" " * 2**16
            sent += 2**16

    server = serve(endless)
    with connected(server) as client:
        for at_most in (1000, 2**20):
            with pytest.raises(OpenSearchError, match=f"longer than {at_most:,} bytes"):
                client.request("GET", "a", at_most=at_most)
        # Nothing of it is left in a connection for the next one.
        assert server.connections == 2
    # Besides what was read, what the buffers of the two sockets hold.
    assert sent < 100 * 2**20


def test_an_answer_may_be_as_long_as_is_allowed(serve: Callable[..., Server]) -> None:
    with connected(serve()) as client:
        assert client.request("GET", "a", at_most=len(OBJECT)) == json.loads(OBJECT)
        with pytest.raises(OpenSearchError, match="longer than"):
            client.request("GET", "a", at_most=len(OBJECT) - 1)


DRIPS = {
    "nothing": b"",
    "a status line": b"H",
    "headers": b"HTTP/1.1 200 OK\r\nX: ",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n",
    "content": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("what", DRIPS)
@pytest.mark.parametrize("encrypted", [False, True])
def test_an_answer_that_drips_in_ends_by_the_time(
    serve: Callable[..., Server], trusted: ssl.SSLContext, what: str, encrypted: bool
) -> None:
    """Each byte comes in time, and the whole never: with a timeout for each alone this would go on and on."""
    drop = {"interim answers": DRIPS[what], "chunks": b"1\r\nx\r\n", "nothing": b""}.get(what, b"x")

    def dripping(_: Request) -> Iterator[bytes]:
        yield DRIPS[what]
        while True:
            server.pause(0.02)
            yield drop

    server = serve(dripping, context=trusted if encrypted else None)
    with connected(server, timeout=0.5) as client, pytest.raises(OpenSearchError, match=r"did not answer: .*timed out"):
        client.request("GET", "a")


def test_a_slow_answer_leaves_the_next_one_its_time(serve: Callable[..., Server]) -> None:
    """The time that was left for an answer is not what the next request on the same connection has."""

    def slow(request: Request) -> Iterator[bytes]:
        if request.target == "/slow":
            server.pause(1.2)
        yield plain()

    server = serve(slow)
    with connected(server, timeout=2.0) as client:
        for _ in range(2):
            client.request("GET", "slow")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "broke off after 2 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "no JSON object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{", "no JSON object: {"),
        (b"\x16\x03\x01\x02\x00", "did not answer"),
        (b"", "did not answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}", "did not answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}", "did not answer"),
        (b"HTTP/1.1 999999 OK\r\n\r\n{}", "did not answer"),
    ],
)
def test_a_broken_answer_is_an_error(serve: Callable[..., Server], answer: bytes, said: str) -> None:
    server = serve(answer or (lambda _: iter([])))
    server.closes = True
    with connected(server) as client, pytest.raises(OpenSearchError, match=said):
        client.request("GET", "a")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 X", "308 X"])
def test_no_redirect_is_followed(serve: Callable[..., Server], status: str) -> None:
    other = serve()
    server = serve(plain(b"", status, f"Location: {other.url}/a"))
    with connected(server) as client, pytest.raises(OpenSearchError, match=status[:3]):
        client.request("POST", "a", {"q": 1})
    assert (len(server.requests), len(other.requests)) == (1, 0)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 X", "502 X", "503 X", "504 X"])
def test_nothing_is_tried_again(serve: Callable[..., Server], status: str) -> None:
    server = serve(plain(b"{}", status, "Retry-After: 0"))
    with connected(server) as client, pytest.raises(OpenSearchError):
        client.request("GET", "a")
    broken = serve(lambda _: iter([]))
    broken.closes = True
    with connected(broken) as client, pytest.raises(OpenSearchError):
        client.request("GET", "a")
    assert (len(server.requests), len(broken.requests)) == (1, 1)


# Amazon's service: encrypted and signed.


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server over https has whose certificate is trusted as botocore's configuration says."""
    context, authority = self_signed(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    return context


def test_a_server_that_nobody_vouches_for_is_told_nothing(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(context=self_signed(tmp_path)[0])
    with connected(server) as client, pytest.raises(OpenSearchError, match=r"(?i)certificate verify failed"):
        client.request("GET", "a")
    assert server.requests == []


def signature(request: Request, *, secret: str) -> str:
    """What AWS works out of a request as it came, by its documents (Signature Version 4) and without its SDK."""

    def digest(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    algorithm, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    _, date, region, service, end = parts["Credential"].split("/")
    path, _, query = request.target.partition("?")
    pairs = [tuple(unquote(text) for text in part.partition("=")[::2]) for part in query.split("&") if part]
    names = parts["SignedHeaders"].split(";")
    canonical = [
        request.method,
        # Quoted once more than it came.
        quote(path, safe="/~"),
        "&".join(
            f"{name}={value}" for name, value in sorted((quote(a, safe="~"), quote(b, safe="~")) for a, b in pairs)
        ),
        *(f"{name}:{request.headers[name]}" for name in names),
        "",
        parts["SignedHeaders"],
        hashlib.sha256(request.body).hexdigest(),
    ]
    scope = f"{date}/{region}/{service}/{end}"
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join([algorithm, request.headers["x-amz-date"], scope, hashed])
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, end):
        key = digest(key, part)
    return digest(key, text).hex()


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        (("GET", "imagerepository-v*/_alias", None), {}),
        (("HEAD", "_alias/imagerepository", None), {}),
        (("POST", "_bulk", [{"create": {"_id": "a"}}, {"key": "Käse ☃"}]), {"require_alias": "true"}),
        (("POST", "_bulk", []), {}),
        (("POST", "a/_search", {}), {}),
        (("POST", "a/_delete_by_query", {"query": {}}), {"max_docs": "50000", "conflicts": "proceed"}),
        (("GET", "a,b/_doc/snow man ☃+~%2F:@!$&'()=;?#", None), {}),
        (("GET", "a/_doc/1", None), {"z": "a=b&c+d e", "empty": "", "a": "*~-._/,☃", "A": "%20"}),
    ],
)
def test_what_is_signed_is_what_is_sent(
    serve: Callable[..., Server], trusted: ssl.SSLContext, asked: tuple[str, str, Any], params: dict[str, str]
) -> None:
    server = serve(context=trusted)
    with connected(server) as client:
        client.request(*asked, params=params)
    (request,) = server.requests
    assert unquote(request.target.partition("?")[0]) == f"/{asked[1]}"
    said = dict(part.strip().split("=", 1) for part in request.headers["authorization"].partition(" ")[2].split(","))
    assert said["Credential"].split("/")[2:] == ["eu-west-1", "es", "aws4_request"]
    assert {"host", "x-amz-date"} <= set(said["SignedHeaders"].split(";"))
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert said["Signature"] == signature(request, secret="testing")  # noqa: S106 - as in conftest.py
