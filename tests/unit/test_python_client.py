"""tagstream.Catalog: what programs import, and how it asks."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

import tagstream
from tagstream.deployed.catalog import Catalog

ROOT = Path(__file__).parents[2]


class Function:
    """A search function over numbers, which it finds in pages whatever is asked."""

    def __init__(self, count: int, **also: Any) -> None:
        self.count = count
        self.also = also
        self.asked: list[Mapping[str, Any]] = []

    def invoke(self, capability: str, output: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert (capability, output) == ("search", "SearchFunctionName")
        self.asked.append(request)
        start = request["after"][0] if request.get("after") else 0
        shown = [{"key": str(n)} for n in range(start, min(start + request.get("limit", 100), self.count))]
        end = start + len(shown)
        return {"total": self.count, "images": shown, "after": [end, "x"] if end < self.count else None, **self.also}


def test_what_is_public_is_what_is_said_to_be() -> None:
    assert tagstream.__all__ == sorted(tagstream.__all__)
    for name in tagstream.__all__:
        assert getattr(tagstream, name).__name__ == name
    assert set(tagstream.__all__) <= set(dir(tagstream))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = tagstream.Nothing  # type: ignore[attr-defined]
    stub = ast.parse((ROOT / "tagstream" / "__init__.pyi").read_text())
    told = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == set(tagstream.__all__)


def test_importing_it_imports_next_to_nothing() -> None:
    def loaded(statement: str) -> set[str]:
        code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
        run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        return {name for name in run.stdout.split() if not name.startswith("__editable__")}

    python_s_own = {"__future__", "importlib", "warnings"}
    assert {name for name in loaded("import tagstream") if name.split(".")[0] not in python_s_own} == {"tagstream"}
    heavy = {"boto3", "botocore", "click", "rich", "numpy", "opensearchpy", "pydantic", "tagstream.vocabulary"}
    assert not loaded("import tagstream; tagstream.Catalog(stage='dev')") & heavy


def test_pages_are_asked_for_as_they_are_read() -> None:
    function = Function(250)
    found = Catalog.over(function).search("dog", min_score=0.5)
    assert found.total == 250
    assert function.asked[0] == {
        "query": "search",
        "q": "dog",
        "min_score": 0.5,
        "exact": False,
        "related": True,
        "weak_below": None,
        "facets": False,
        "limit": 100,
        "after": None,
    }
    assert [next(found)["key"] for _ in range(100)] == [str(n) for n in range(100)]
    assert len(function.asked) == 1
    assert [image["key"] for image in found] == [str(n) for n in range(100, 250)]
    assert [request["after"] for request in function.asked] == [None, [100, "x"], [200, "x"]]


def test_a_limit_is_kept_to() -> None:
    function = Function(250)
    assert len(list(Catalog.over(function).images(limit=130))) == 130
    assert [request["limit"] for request in function.asked] == [100, 30]
    assert list(Catalog.over(Function(0)).rejected()) == []


def test_what_the_answer_says_besides_is_kept() -> None:
    found = Catalog.over(Function(1, terms=[{"term": "dog"}])).search("dog", facets=True)
    assert found.about["terms"] == [{"term": "dog"}]
    assert "images" not in found.about


def test_errors_are_tagstreams_own() -> None:
    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def invoke(self, *_: Any) -> dict[str, Any]:
            raise self.error

    with pytest.raises(tagstream.QueryError, match="what to change"):
        Catalog.over(Function(0, error="what to change")).search("(")
    with pytest.raises(tagstream.CatalogError, match="no index"):
        Catalog.over(Function(0, missing="there is no index")).stats()
    with pytest.raises(tagstream.AwsError, match="aws configure"):
        Catalog.over(Broken(NoCredentialsError())).tags()
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "Invoke")
    with pytest.raises(tagstream.AwsError, match="not you"):
        Catalog.over(Broken(denied)).show("a.jpg")
    with pytest.raises(ZeroDivisionError):
        Catalog.over(Broken(ZeroDivisionError())).stats()
    assert Catalog.over(Function(0, missing="there is no index")).at(["s3://b/k"]) == []


def test_the_order_of_uploads_can_be_asked_for() -> None:
    function = Function(1)
    Catalog.over(function).search("dog", newest=True)
    assert function.asked[0]["sort"] == "newest"
