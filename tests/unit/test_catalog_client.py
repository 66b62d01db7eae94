from __future__ import annotations

import pytest

from tagstream.catalog.client import connect
from tagstream.errors import ConfigurationError

DOMAIN = "https://search-it.eu-west-1.es.amazonaws.com"


@pytest.fixture
def _role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


@pytest.mark.usefixtures("_role")
def test_requests_to_the_domain_are_encrypted_and_signed() -> None:
    connection = connect(DOMAIN, timeout=2).transport.get_connection()
    assert connection.host == f"{DOMAIN}:443"
    assert connection.pool.cert_reqs == "CERT_REQUIRED"
    assert connection.timeout == 2
    signed = connection.http_auth("POST", f"{DOMAIN}/imagerepository/_bulk", b"{}", {})
    assert "/eu-west-1/es/aws4_request" in signed["Authorization"]
    assert signed["X-Amz-Security-Token"] == "token"


@pytest.mark.usefixtures("_role")
def test_requests_to_the_local_cloud_are_not_signed() -> None:
    connection = connect("http://127.0.0.1:9200").transport.get_connection()
    assert connection.http_auth is None
    assert connection.timeout == 3


@pytest.mark.parametrize("endpoint", ["", "localhost:9200", "ftp://x"])
def test_an_endpoint_must_be_a_url(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="must be an http"):
        connect(endpoint)


def test_without_credentials_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ConfigurationError, match="no AWS credentials"):
        connect(DOMAIN)
