"""The cloud that the gallery is looked at in: one of its own, or with ``GALLERY_CLOUD=up`` the one that is up."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagstream.local.cloud import HOME, Connection, LocalCloud, connection
from tests.documents import ROOT
from tests.e2e.conftest import Pipeline

__all__ = ["cloud"]


@contextmanager
def cloud(directory: Path) -> Iterator[Pipeline]:
    """The deployed stacks, for as long as the block lasts; what the functions say is in ``build/local/logs-browser``.

    The one that is up is shown the gallery's files of the working tree.
    """
    if os.environ.get("GALLERY_CLOUD") == "up":
        running = connection()
        _show_working_tree(running)
        pipeline = Pipeline(running, {}, HOME / "logs" / "cloud.log", HOME / "private")
        yield pipeline
        pipeline.close()
        return
    logs = ROOT / "build" / "local" / "logs-browser"
    with LocalCloud(directory, logs=logs) as made:
        made.deploy()
        pipeline = Pipeline(made.connection, made.pids, logs / "cloud.log", directory / "private")
        yield pipeline
        pipeline.close()


def _show_working_tree(running: Connection) -> None:
    """The gallery function gets the files as they are now, and all that it needs of the rest."""
    needed = {"handler.py": ROOT / "lambdas" / "gallery" / "handler.py"}
    needed |= {f"tagstream/{name}.py": ROOT / "tagstream" / f"{name}.py" for name in ("__init__", "errors", "gallery")}
    needed |= {str(path.relative_to(ROOT)): path for path in (ROOT / "gallery").rglob("*") if path.is_file()}
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as bundle:
        for name, path in needed.items():
            bundle.write(path, name)
    functions = running.client("lambda")
    names = (one["FunctionName"] for one in functions.list_functions()["Functions"])
    function = next(name for name in names if "GalleryFunction" in name)
    functions.update_function_code(FunctionName=function, ZipFile=code.getvalue())
    functions.close()
