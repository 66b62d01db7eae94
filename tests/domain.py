"""The domain's access policy, held over every request that a function makes to an OpenSearch of the tests."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import pytest
from urllib3 import HTTPConnectionPool, HTTPResponse

from stacks.access import DOMAIN_ACCESS

Use = tuple[str, str, str]
"""A function, a method as the policy writes it, and the pattern of a path."""

GRANTED: set[Use] = {
    (function, method, pattern)
    for function, allowed in DOMAIN_ACCESS.items()
    for method, patterns in allowed.items()
    for pattern in patterns
}


def matches(pattern: str, path: str) -> bool:
    """Whether a resource of IAM's names this path: ``*`` is any text and ``?`` any one character.

    >>> matches("imagerepository/_search", "imagerepository/_search"), matches("a-v*", "a-v1/_settings")
    (True, True)
    >>> matches("imagerepository/_search", "imagerepository/_search/x"), matches("_alias", "_aliases")
    (False, False)
    """
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, path, re.DOTALL) is not None


def granted(function: str, method: str, path: str) -> set[Use]:
    """What of the policy lets the function make this request; nothing if it is refused."""
    return {
        (name, allowed, pattern)
        for name, allowed, pattern in GRANTED
        if name == function and allowed == method.title() and matches(pattern, path)
    }


class DomainPolicy:
    """Refuses what the policy does not admit, as the domain does; ``used`` is what requests were admitted by."""

    def __init__(self) -> None:
        self.used: set[Use] = set()
        self.refused: list[tuple[str, str, str]] = []
        self._function: str | None = None

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Requests are this function's meanwhile; all others are the test's own, and free."""
        before, self._function = self._function, function
        try:
            yield
        finally:
            self._function = before

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where requests go out; boto3's end before, in moto."""
        made: Callable[..., Any] = HTTPConnectionPool.urlopen

        def urlopen(pool: HTTPConnectionPool, method: str, url: str, *arguments: Any, **more: Any) -> Any:
            if self._function is not None:
                path = unquote(url.partition("?")[0].lstrip("/"))
                by = granted(self._function, method, path)
                if not by:
                    self.refused.append((self._function, method, path))
                    action = f"es:ESHttp{method.title()}"
                    said = {"Message": f"{self._function} is not authorized to perform: {action} on {path}"}
                    return HTTPResponse(io.BytesIO(json.dumps(said).encode()), status=403, preload_content=False)
                self.used |= by
            return made(pool, method, url, *arguments, **more)

        monkeypatch.setattr(HTTPConnectionPool, "urlopen", urlopen)
