"""S3 and SQS on 127.0.0.1, in the process of whoever starts them, that answer at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

__all__ = ["storage"]


@contextmanager
def storage(photos: Mapping[str, Path]) -> Iterator[str]:
    """S3 with these photos by their keys, which takes whatever else it is given, and SQS; gives the endpoint's URL."""
    contents = {key: path.read_bytes() for key, path in photos.items()}

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise an answer of two parts waits 40 ms, until the client has acknowledged the first one.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            key = unquote(self.path.partition("?")[0].rpartition("/")[2])
            self._answer(contents[key], "image/jpeg", {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'})

        def do_PUT(self) -> None:
            if self.headers.get("Expect") == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(b"", "application/xml", {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            accepted = [{"Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": ""} for entry in request["Entries"]]
            self._answer(json.dumps({"Successful": accepted, "Failed": []}).encode(), "application/x-amz-json-1.0", {})

        def _answer(self, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
            self.send_response(200)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
