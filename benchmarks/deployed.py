"""Runs the classify function from its bundle, as Lambda does: a program, given nothing but Python's own library.

``python -I -S deployed.py BUNDLE answer EVENT`` handles one event; ``... memory PHOTO`` tells what memory it takes.
Prints one line that begins with ``ANSWER`` when it is done, among what the function logs.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


class Context:
    """What the function reads of Lambda's context."""

    function_name = "classify"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:classify"
    aws_request_id = "00000000-0000-0000-0000-000000000000"


def memory() -> dict[str, float]:
    """Resident memory in MB, now and at most so far."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(status[field].split()[0]) / 1000 for name, field in (("now", "VmRSS"), ("peak", "VmHWM"))}


def main(bundle: str, what: str, argument: str) -> Any:
    sys.path.insert(0, bundle)
    handler = importlib.import_module("handler")
    if what == "answer":
        return handler.handler(json.loads(argument), Context())
    classifier, _ = handler.classifier(), handler.ingest()
    rest = memory()
    classifier.recognise(Path(argument).read_bytes())
    return {"rest": rest["now"], "peak": memory()["peak"]}


if __name__ == "__main__":
    print("ANSWER", json.dumps(main(*sys.argv[1:])), flush=True)
