"""Dependencies point one way: app.py → stacks; lambdas → tagstream. The two sides never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative imports hide what is imported"
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("layer", "forbidden"),
    [
        ("app.py", {"aws_cdk", "tagstream", "lambdas"}),
        ("stacks", {"tagstream", "lambdas", "boto3", "botocore"}),
        ("lambdas", {"stacks", "aws_cdk", "tensorflow", "keras"}),
        ("tagstream", {"stacks", "lambdas", "aws_cdk", "aws_lambda_powertools"}),
    ],
)
def test_a_layer_imports_nothing_from_where_it_must_not(layer: str, forbidden: set[str]) -> None:
    path = ROOT / layer
    modules = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert modules
    wrong = {str(module.relative_to(ROOT)): sorted(set(imported(module)) & forbidden) for module in modules}
    assert {module: names for module, names in wrong.items() if names} == {}
