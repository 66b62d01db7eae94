"""Runs a function that asks OpenSearch from its bundle, as Lambda does: a program, given nothing but Python's library.

``python -I -S searched.py BUNDLE ours EVENT`` answers one event; with ``official:PACKAGES`` for ``ours`` the official
client, of that directory, is the connection; ``... import`` only imports the handler. Prints one line that begins with
``ANSWER``: what was answered, or how many milliseconds the import took.
"""

import importlib
import json
import sys
import time
from typing import Any


class Context:
    """What the function reads of Lambda's context."""

    function_name = "search"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:search"
    aws_request_id = "00000000-0000-0000-0000-000000000000"


class Official:
    """The official client, as the catalog asks: signed by its own signer, with what it takes from the environment."""

    def __init__(self, endpoint: str, *, timeout: float) -> None:
        from botocore.session import get_session
        from opensearchpy import OpenSearch, Urllib3AWSV4SignerAuth

        session = get_session()
        signed = Urllib3AWSV4SignerAuth(session.get_credentials(), session.get_config_variable("region"), "es")
        self._transport = OpenSearch(endpoint, http_auth=signed, timeout=timeout, max_retries=0).transport

    def request(self, method: str, path: str, body: Any = None, *, params: Any = None) -> Any:
        return self._transport.perform_request(method, f"/{path}", params=params, body=body)


def main(bundle: str, what: str, *arguments: str) -> Any:
    sys.path.insert(0, bundle)
    which, _, packages = what.partition(":")
    if which == "official":
        # After the bundle: what it has itself, it takes from there.
        sys.path.append(packages)
        importlib.import_module("opensearchpy")
        vars(importlib.import_module("lambdas.opensearch"))["connect"] = Official
    started = time.perf_counter()
    handler = importlib.import_module("handler")
    if which == "import":
        return 1e3 * (time.perf_counter() - started)
    return handler.handler(json.loads(*arguments), Context())


if __name__ == "__main__":
    print("ANSWER", json.dumps(main(*sys.argv[1:])), flush=True)
