"""Dependencies point one way: app.py → stacks; lambdas → tagstream, and room by room as docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def names_imported(path: Path) -> Iterator[str]:
    """All that a module imports, by full names, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative imports hide what is imported"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports."""
    yield from (name.split(".")[0] for name in names_imported(path))


def room_of(name: str) -> str:
    """The room of a module: below ``tagstream`` the part after that, else the first part."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tagstream" and len(parts) > 1 else parts[0]


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of ours with its room; ``tagstream`` itself, which imports nothing of ours, has none."""
    for path in (
        ROOT / "app.py",
        *(p for top in ("tagstream", "lambdas", "stacks") for p in (ROOT / top).rglob("*.py")),
    ):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts == ("tagstream", "__init__"):
            assert set(imported(path)) <= {"__future__", "importlib"}
        else:
            yield room_of(".".join(parts)), path


def the_map() -> dict[str, list[str]]:
    """The rooms of docs/architecture.md, in their order, with what each may import."""
    text = (ROOT / "docs" / "architecture.md").read_text().partition("\n## The map\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if "| `" in line]
    rooms = {}
    for place, _, *imports in rows:
        name = place.strip("`/").removesuffix(".py").replace("/", ".")
        rooms[room_of(name)] = re.findall(r"`([\w./]+)`", " ".join(imports))
    return rooms


def test_every_room_imports_what_the_map_allows_and_nothing_else() -> None:
    rooms = the_map()
    ours = set(rooms) | {"tagstream"}
    wrong = []
    for room, path in modules():
        assert room in rooms, f"{path.relative_to(ROOT)} is in no room of the map in docs/architecture.md"
        reached = {room_of(name) for name in names_imported(path)} & ours
        wrong += [f"{path.relative_to(ROOT)} imports {other}" for other in sorted(reached - {room, *rooms[room]})]
    assert wrong == []


def test_the_map_points_one_way() -> None:
    rooms = the_map()
    assert {"errors", "catalog", "cli", "lambdas", "stacks", "app"} <= set(rooms)
    for number, (room, imports) in enumerate(rooms.items()):
        assert set(imports) <= set(list(rooms)[:number]), f"{room} imports from below"


@pytest.mark.parametrize(
    ("layer", "forbidden"),
    [
        ("app.py", {"aws_cdk", "tagstream", "lambdas"}),
        ("stacks", {"lambdas", "boto3", "botocore"}),
        ("lambdas", {"stacks", "aws_cdk", "tensorflow", "keras"}),
        ("tagstream", {"stacks", "lambdas", "aws_cdk", "aws_lambda_powertools"}),
    ],
)
def test_a_layer_imports_nothing_from_where_it_must_not(layer: str, forbidden: set[str]) -> None:
    path = ROOT / layer
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert found
    wrong = {str(module.relative_to(ROOT)): sorted(set(imported(module)) & forbidden) for module in found}
    assert {module: names for module, names in wrong.items() if names} == {}
