"""Requests to the HTTP API through the deployed stacks in a local cloud, warm: API Gateway, token, function, search.

Among as many documents as osmem can sort in a reasonable time; with ``OPENSEARCH_URL`` naming a real OpenSearch, which
must hold no catalog, the deployed function asks that one, with 10,000 documents.
"""

from __future__ import annotations

import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.measure import say
from benchmarks.report import Results, Row, limited, noted
from benchmarks.search import INDEX, QUESTIONS, endpoint, store

__all__ = ["web"]

DOCUMENTS, FEW_DOCUMENTS = 10_000, 1_000
"""In a real OpenSearch, and in osmem."""

AT_MOST = 60.0  # milliseconds, 95th percentile of searches among 10,000 documents
_MOST_ROUNDS = 5


def web(rounds: int) -> Results:
    """Each question of the benchmark of searches once a round, and the other routes that people wait for."""
    from tagstream.catalog.client import connect
    from tagstream.catalog.queries import parse_request
    from tagstream.catalog.store import CatalogStore
    from tagstream.local.cloud import LocalCloud
    from tagstream.local.gallery import Gallery

    with (
        tempfile.TemporaryDirectory(prefix="tagstream-bench-") as directory,
        LocalCloud(Path(directory), logs=Path("build/bench-logs"), report=lambda line: say(f"  {line}")) as cloud,
    ):
        cloud.deploy()
        real = os.environ.get("OPENSEARCH_URL")
        here = nullcontext((connect(cloud.connection.search_url, timeout=60), "osmem", None))
        with endpoint() if real else here as (client, name, _):
            if real:
                _point_at(cloud.connection.client("lambda"), real)
            count = DOCUMENTS if real else FEW_DOCUMENTS
            catalog = CatalogStore(client, INDEX)
            store(client, catalog, 0, count)
            gallery = Gallery.of(cloud.connection)
            requests = [parse_request({"query": "search", "q": question}) for question in QUESTIONS]
            with _caller(gallery.api_url, gallery.token()) as get:
                # A Java machine compiles what it has done some thousand times.
                for _ in range(40 if real else 1):
                    for request in requests:
                        catalog.search(request)
                turns = range(min(rounds, _MOST_ROUNDS))
                paths = [f"/images?{urlencode({'q': question})}" for question in QUESTIONS]
                for path in paths:
                    get(path)
                searches = [_timed(partial(get, path)) for _ in turns for path in paths]
                directly = [_timed(partial(catalog.search, asked)) for _ in turns for asked in requests]
                said = f"among {count:,} documents, {name}, local cloud"
                p95 = statistics.quantiles(searches, n=20)[18]
                rows: list[Row] = [noted(f"GET /images?q= {said}: p50", statistics.median(searches), unit="ms")]
                rows.append(
                    limited(f"GET /images?q= {said}: p95", p95, AT_MOST, unit="ms", at_most=AT_MOST)
                    if count == DOCUMENTS
                    else noted(f"GET /images?q= {said}: p95", p95, unit="ms")
                )
                more = statistics.median(searches) - statistics.median(directly)
                rows.append(noted("what HTTP, token, function and signed URLs add to a search: p50", more, unit="ms"))
                for path in ("/images", "/tags?prefix=do", "/tags?prefix=pupp"):
                    get(path)
                    times = [_timed(partial(get, path)) for _ in turns for _ in range(10)]
                    rows.append(noted(f"GET {path} {said}: p95", statistics.quantiles(times, n=20)[18], unit="ms"))
    return Results(rows)


def _point_at(functions: Any, url: str) -> None:
    """Have the deployed API function ask another OpenSearch."""
    (name,) = (
        found["FunctionName"]
        for found in functions.list_functions()["Functions"]
        if found["FunctionName"].startswith("tagstream-local-api-Api")
    )
    kept = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**kept, "OPENSEARCH_ENDPOINT": url}}
    )


@contextmanager
def _caller(url: str, token: str) -> Iterator[Callable[[str], bytes]]:
    """``get(path)`` over one connection, as a browser keeps it."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)

    def get(path: str) -> bytes:
        connection.request("GET", place.path + path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"GET {path} was answered with {answer.status}: {body.decode(errors='replace')}")
        return body

    try:
        yield get
    finally:
        connection.close()


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)
