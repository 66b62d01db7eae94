"""What a wheel has besides ``tagstream``: the files that the local cloud deploys, in ``tagstream/local/checkout``.

``pyproject.toml`` lists them. An editable install has none: it finds them in the checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_INTO = "tagstream/local/checkout"


class Hook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        root = Path(self.root)
        for name in self.config["files"]:
            below = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
            for path in below:
                if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                    build_data["force_include"][str(path)] = f"{_INTO}/{path.relative_to(root).as_posix()}"
