"""The connection to OpenSearch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from tagstream.errors import CatalogError, ConfigurationError

__all__ = ["catalog_errors", "connect"]


def connect(endpoint: str, *, timeout: float = 3.0) -> OpenSearch:
    """A client of the OpenSearch at ``endpoint``, a full URL; each request takes at most ``timeout`` seconds.

    Requests over https are signed for Amazon OpenSearch Service with the role of the process; over http
    (the local cloud) they are not. Nothing is retried in here: a queue stands behind every write, and a
    retry would outlast the function.
    """
    if endpoint.startswith("http://"):
        return OpenSearch(endpoint, timeout=timeout, max_retries=0)
    if not endpoint.startswith("https://"):
        raise ConfigurationError(f"the OpenSearch endpoint must be an http(s) URL, not {endpoint!r}")
    # botocore alone: boto3 would add its own start-up time to every cold start.
    from botocore.session import get_session
    from opensearchpy import Urllib3AWSV4SignerAuth

    session = get_session()
    credentials, region = session.get_credentials(), session.get_config_variable("region")
    if credentials is None or not region:
        raise ConfigurationError("there are no AWS credentials or no region to sign requests to OpenSearch with")
    return OpenSearch(
        endpoint,
        http_auth=Urllib3AWSV4SignerAuth(credentials, region, "es"),
        timeout=timeout,
        max_retries=0,
        # Signing needs the body as it is sent.
        http_compress=False,
    )


@contextmanager
def catalog_errors() -> Iterator[None]:
    """Turns the exceptions of the client, and of signing its requests, into :class:`CatalogError`.

    The original one is its cause.
    """
    try:
        yield
    except (OpenSearchException, BotoCoreError) as error:
        raise CatalogError(f"OpenSearch did not do as asked: {error}") from error
