from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy import Urllib3AWSV4SignerAuth
from urllib3 import HTTPResponse

from tagstream.catalog.client import Client, NotFound, OpenSearchError, _signer, connect
from tagstream.errors import CatalogError, ConfigurationError

DOMAIN = "https://search-it.eu-west-1.es.amazonaws.com"
REGION = "eu-west-1"
MOMENT = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
KEY = Credentials("AKIATEST", "secret", "token")


class Pool:
    """In the place of urllib3's pool: notes what would be sent, and answers ``content``."""

    def __init__(self, content: bytes = b"{}", status: int = 200) -> None:
        self._content, self._status = content, status
        self.sent: list[tuple[str, str, bytes | None, Mapping[str, str]]] = []

    def urlopen(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], **_: Any
    ) -> HTTPResponse:
        self.sent.append((method, target, body, headers))
        return HTTPResponse(io.BytesIO(self._content), status=self._status, preload_content=False)


def client(pool: Pool, credentials: Any = None) -> Client:
    sign = None if credentials is None else _signer(DOMAIN, credentials, REGION)
    return Client(pool, timeout=1, sign=sign)  # type: ignore[arg-type]


@pytest.fixture
def _role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def _moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All signatures are of the same moment."""

    def now(remove_tzinfo: bool = True) -> datetime:
        return MOMENT.replace(tzinfo=None) if remove_tzinfo else MOMENT

    monkeypatch.setattr(botocore.auth, "get_current_datetime", now)


@pytest.mark.usefixtures("_role")
def test_the_domain_must_prove_who_it_is() -> None:
    pool: Any = connect(DOMAIN, timeout=2)._pool
    assert (pool.scheme, pool.host, pool.port) == ("https", "search-it.eu-west-1.es.amazonaws.com", 443)
    assert pool.cert_reqs == "CERT_REQUIRED"
    assert pool.ca_certs


REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "imagerepository-v*/_alias", None, {}),
    ("HEAD", "_alias/imagerepository", None, {}),
    ("PUT", "imagerepository-v2", {"mappings": {}}, {}),
    ("DELETE", "imagerepository-v2g2", None, {}),
    ("POST", "imagerepository/_search", {"query": {"term": {"tag": "Käse 🧀"}}}, {}),
    ("POST", "imagerepository/_mget", {"ids": ["a"]}, {"_source_includes": "sequencer,event_kind"}),
    ("POST", "_bulk", [{"create": {"_id": "a"}}, {"key": "\ud800"}], {"require_alias": "true"}),
    ("POST", "_bulk", [], {}),
    ("POST", "imagerepository/_delete_by_query", {}, {"max_docs": "50000", "conflicts": "proceed"}),
    ("GET", "a,b/_doc/snow man ☃+~%2F", None, {"q": "a=b&c+d", "empty": "", "a": "*~-._"}),
]


@pytest.mark.usefixtures("_moment")
@pytest.mark.parametrize(("method", "path", "body", "params"), REQUESTS)
def test_requests_are_signed_as_botocore_and_the_official_client_sign_them(
    method: str, path: str, body: Any, params: dict[str, str]
) -> None:
    pool = Pool()
    client(pool, KEY).request(method, path, body, params=params)
    ((_, target, data, headers),) = pool.sent
    signature = {name: value for name, value in headers.items() if name != "Content-Type"}
    assert signature["X-Amz-Security-Token"] == "token"
    assert f"/{REGION}/es/aws4_request, SignedHeaders=host;" in signature["Authorization"]

    request = AWSRequest(method=method, url=DOMAIN + target, data=data)
    request.headers["X-Amz-Content-SHA256"] = signature["X-Amz-Content-SHA256"]
    SigV4Auth(KEY, "es", REGION).add_auth(request)
    assert signature == dict(request.headers.items())
    official = Urllib3AWSV4SignerAuth(KEY, REGION, "es")(method, DOMAIN + target, data)
    if "q=a%3Db%26c%2Bd" not in target:
        # It would sign a query in another order than it is sent in, and quoted otherwise: none of ours is such.
        assert signature == official


@pytest.mark.usefixtures("_moment")
def test_credentials_are_renewed_as_they_expire() -> None:
    now = MOMENT
    numbers = iter(range(1, 10))

    def renewed() -> dict[str, str]:
        expiry = (now + timedelta(hours=1)).isoformat()
        name = f"KEY{next(numbers)}"
        return {"access_key": name, "secret_key": name, "token": name, "expiry_time": expiry}

    pool = Pool()
    first = renewed()
    credentials = RefreshableCredentials(
        *(first[part] for part in ("access_key", "secret_key", "token")),
        datetime.fromisoformat(first["expiry_time"]),
        renewed,
        "test",
        time_fetcher=lambda: now,
    )
    made = client(pool, credentials)
    for _ in range(2):
        made.request("GET", "a")
    now += timedelta(hours=1)
    made.request("GET", "a")
    used = [(headers["Authorization"].split("/")[0], headers["X-Amz-Security-Token"]) for *_, headers in pool.sent]
    assert used == [("AWS4-HMAC-SHA256 Credential=KEY1", "KEY1")] * 2 + [("AWS4-HMAC-SHA256 Credential=KEY2", "KEY2")]


@pytest.mark.parametrize("raised", [CredentialRetrievalError(provider="x", error_msg="away"), RuntimeError("expired")])
def test_credentials_that_cannot_be_renewed_are_the_catalogs_error(raised: Exception) -> None:
    class Gone:
        def get_frozen_credentials(self) -> Any:
            raise raised

    pool = Pool()
    with pytest.raises(CatalogError, match=r"no credentials to sign the request with: .*(away|expired)"):
        client(pool, Gone()).request("GET", "a")
    assert pool.sent == []


def test_requests_to_the_local_cloud_are_not_signed() -> None:
    made = connect("http://127.0.0.1:9200")
    assert made._sign is None
    pool = Pool()
    client(pool).request("POST", "a/_search", {"é": 1}, params={"x": "1 2"})
    assert pool.sent == [
        ("POST", "/a/_search?x=1%202", '{"é":1}\n'.encode(), {"Content-Type": "application/json"}),
    ]


def test_a_bulk_request_has_an_object_in_each_line() -> None:
    pool = Pool()
    client(pool).request("POST", "_bulk", [{"create": {"_id": "1\n"}}, {"key": "a"}])
    ((_, _, body, headers),) = pool.sent
    assert body == b'{"create":{"_id":"1\\n"}}\n{"key":"a"}\n'
    assert headers == {"Content-Type": "application/x-ndjson"}


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:9200", "ftp://x", "http://", "http://[", "http://x:y", "http://x:99999"]
)
def test_an_endpoint_must_be_a_url(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="must be an http"):
        connect(endpoint)


@pytest.mark.parametrize("endpoint", ["http://x/y", "http://me:secret@x", "https://x?a", "https://x/#a"])
def test_an_endpoint_is_a_host_and_a_port_alone(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="a host and a port alone"):
        connect(endpoint)


def test_without_credentials_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ConfigurationError, match="no AWS credentials"):
        connect(DOMAIN)


REASON = {"type": "index_not_found_exception", "reason": "no such index [a]"}


@pytest.mark.parametrize(
    ("status", "content", "kind", "reason", "said"),
    [
        (404, {"error": REASON, "status": 404}, REASON["type"], REASON["reason"], "404 index_not_found_exception: no "),
        (
            400,
            {"error": {"type": "search_phase_execution_exception", "reason": "all failed", "root_cause": [REASON]}},
            "search_phase_execution_exception",
            REASON["reason"],
            "400 search_phase_execution_exception: no such index",
        ),
        (404, {"error": "alias [a] missing", "status": 404}, "", "alias [a] missing", "404: alias [a] missing"),
        (403, {"Message": "User: arn:x is not authorized"}, "", "User: arn:x is not authorized", "403: User: arn:x"),
        (429, {"message": "Too Many Requests"}, "", "Too Many Requests", "429: Too Many Requests"),
        (503, b"<html>\r\n\t<h1>503  Service</h1>\r\n", "", "", "503: <html> <h1>503 Service</h1>"),
        (400, {"error": {"type": "x_exception"}}, "x_exception", "", "400 x_exception"),
        (500, {"error": {"type": 1, "reason": [], "root_cause": {}}}, "", "", '500: {"error": {"type": 1'),
        (500, b"[" * 100_000, "", "", "500: [[["),
        (502, b"", "", "", "502"),
        (302, b"", "", "", "302"),
    ],
)
def test_a_refusal_says_what_opensearch_says(status: int, content: Any, kind: str, reason: str, said: str) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(CatalogError) as raised:
        client(Pool(body, status)).request("GET", "a")
    error = raised.value
    assert isinstance(error, OpenSearchError)
    assert isinstance(error, NotFound) is (status == 404)
    assert (error.status, error.type, error.reason) == (status, kind, reason)
    assert str(error).startswith(f"OpenSearch did not do as asked: {said}")
    assert len(str(error)) < 300


def test_a_long_reason_is_cut() -> None:
    body = json.dumps({"error": {"type": "t" * 10**6, "reason": "r" * 10**6}}).encode()
    with pytest.raises(OpenSearchError) as raised:
        client(Pool(body, 400)).request("GET", "a")
    assert len(str(raised.value)) < 2500


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b'"a"', b'{"a":', b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b"<html>no"]
)
def test_an_answer_that_is_no_object_is_an_error_that_shows_its_beginning(content: bytes) -> None:
    with pytest.raises(OpenSearchError, match="no JSON object") as raised:
        client(Pool(content)).request("GET", "a")
    assert raised.value.status == 200
    assert len(str(raised.value)) < 300
    assert str(raised.value).endswith(content[:200].decode("utf-8", "replace"))


def test_there_is_nothing_to_read_in_the_answer_to_head() -> None:
    assert client(Pool(b"")).request("HEAD", "_alias/a") == {}
    with pytest.raises(NotFound, match=r"404$"):
        client(Pool(b"", 404)).request("HEAD", "_alias/a")


_anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "type", "reason", "root_cause"]), inner),
)


@given(st.integers(200, 599), st.binary() | _anything.map(lambda value: json.dumps(value).encode()))
def test_no_answer_is_too_strange(status: int, content: bytes) -> None:
    answer: dict[str, Any] | OpenSearchError
    try:
        answer = client(Pool(content, status)).request("GET", "a")
    except OpenSearchError as error:
        answer = error
    if isinstance(answer, OpenSearchError):
        assert answer.status == status
        assert len(str(answer)) < 2500
    else:
        assert status < 300
        assert json.dumps(answer) == json.dumps(json.loads(content))
