"""Cold starts of the functions that ask OpenSearch, from their bundles, as they are deployed."""

from __future__ import annotations

import json
import os
import ssl
import sys
import sysconfig
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from benchmarks.bundle import first_answer
from benchmarks.measure import interleaved, pinned, say
from benchmarks.report import Results, faster, median, noted

__all__ = ["self_signed", "starts"]

HERE = Path(__file__).parent
FUNCTIONS = ("search", "api", "catalog", "purge")
INDEX = "imagerepository"
ASKED = {"query": "search", "q": "cat"}


def starts(rounds: int) -> Results:
    """The search function's first answer, over https and signed, and the imports of all of them; on one core."""
    from stacks import bundling

    say("  building the bundles that are missing ...")
    results = Results()
    with tempfile.TemporaryDirectory(prefix="tagstream-bench-") as scratch:
        for name in FUNCTIONS:
            with zipfile.ZipFile(bundling.Bundle(name, bundling.this_machine()).build()) as zipped:
                zipped.extractall(Path(scratch, name))
        with _opensearch(_said(), Path(scratch)) as (endpoint, authority):
            environment = {
                "PATH": os.environ.get("PATH", os.defpath),
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                # Each client has a way of its own to be told whom to trust.
                "AWS_CA_BUNDLE": authority,
                "SSL_CERT_FILE": authority,
                "OPENSEARCH_ENDPOINT": endpoint,
                "OPENSEARCH_INDEX": INDEX,
                "POWERTOOLS_SERVICE_NAME": "search",
                "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
            }

            # Not the virtual environment's: the bundle has to bring all that it needs.
            python = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]

            def program(name: str, what: str, *more: str) -> list[str]:
                return [python, "-I", "-S", str(HERE / "searched.py"), str(Path(scratch, name)), what, *more]

            def start(what: str) -> float:
                seconds, answer = first_answer(program("search", what, json.dumps(ASKED)), environment)
                if answer.get("total") != 1:
                    raise RuntimeError(f"the function answered {answer}")
                return 1e3 * seconds

            def imported(name: str) -> Callable[[int], float]:
                return lambda _: float(first_answer(program(name, "import"), environment)[1])

            official = f"official:{sysconfig.get_path('purelib')}"
            say(f"  {rounds} rounds of cold starts ...")
            # One core, as in the cold start of the classify function. The first starts read from the disk.
            with pinned(1):
                times = interleaved(
                    {"ours": lambda _: start("ours"), "official": lambda _: start(official)}, rounds, warm_ups=1
                )
                imports = interleaved({name: imported(name) for name in FUNCTIONS}, rounds, warm_ups=1)
    results.rows.append(
        faster(
            "cold start of the search function to its first answer, 1 core, against the same with opensearch-py",
            times["ours"],
            times["official"],
            target=1.1,
        )
    )
    results.rows += [noted(f"import of the {name} function", median(imports[name]), unit="ms") for name in FUNCTIONS]
    return results


def _said() -> bytes:
    """What OpenSearch says to the search for :data:`ASKED`, where there is one image of it."""
    from osmem_server import OsmemServer

    from tagstream.catalog.client import connect
    from tagstream.catalog.queries import looser_searches, parse_request, search_body, search_of
    from tagstream.catalog.store import CatalogStore
    from tagstream.catalog.updates import CatalogUpdate
    from tagstream.tags import Tag
    from tagstream.vocabulary.words import load_words

    tags = (Tag("tabby", 0.9), Tag("cat", 0.9))
    update = CatalogUpdate("classified", "photos", "cat.jpg", "0A", "created", "2026-01-01T00:00:00Z", tags=tags)
    request = parse_request(ASKED)
    with OsmemServer.start(japanese=False) as server:
        client = connect(server.url, timeout=60)
        CatalogStore(client, INDEX).apply([update])
        client.request("POST", f"{INDEX}/_refresh")
        first = next(iter(looser_searches(request, search_of(request, load_words()))))
        said = client.request("POST", f"{INDEX}/_search", search_body(request, first))
        client.close()
    return json.dumps(said).encode()


@contextmanager
def _opensearch(said: bytes, directory: Path) -> Iterator[tuple[str, str]]:
    """What answers every request with that, over https: its URL, and whom to trust for it."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise an answer of two parts waits 40 ms, until the client has acknowledged the first one.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
                self.send_error(403)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    context, authority = self_signed(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", str(authority)
    finally:
        server.shutdown()
        server.server_close()


def self_signed(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's at 127.0.0.1 that is its own authority, and the file in ``directory`` for whoever is to trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    both = directory / "certificate.pem"
    both.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, both
