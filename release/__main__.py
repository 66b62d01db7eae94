"""Builds the packages that are published, into dist/: ``make dist``.

The source distribution and the wheel of Tagstream, a wheel for each of its default models, and their checksums in the
form that ``sha256sum --check`` reads. The same commit gives the same bytes, wherever and whenever it is built: times
are those of the commit (or ``SOURCE_DATE_EPOCH``), and only what git knows of is looked at. The wheel is made from the
source distribution, so that one can stand for the other. Nothing is left behind in the checkout but dist/.

For a release, whose ``TAG`` is set, nothing is built as long as something is not committed.

``REPOSITORY_URL`` is where the links of the packages lead to, such as https://github.com/someone/tagstream.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tagstream.classifier.build import build_model
from tagstream.machine import DEFAULT_MODELS

ROOT = Path(__file__).resolve().parents[1]

_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make dist", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="A folder, which is replaced.")
    into: Path = parser.parse_args().into.resolve()
    changed, tag = _git("status", "--porcelain").splitlines(), os.environ.get("TAG")
    if changed and tag:
        sys.exit(
            f"Release {tag} is not built: not all is committed, {changed[0][3:]} for one. Commit or remove it, or "
            "build without TAG."
        )
    os.environ["SOURCE_DATE_EPOCH"] = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct").strip()
    with tempfile.TemporaryDirectory(prefix="tagstream-dist-") as temporary:
        made = Path(temporary, "dist")
        source = Path(temporary, "tagstream")
        _copy_checkout(source)
        _say_where(source, os.environ.get("REPOSITORY_URL", "").rstrip("/"))
        _build(source, made)
        for name in DEFAULT_MODELS:
            _lay_model(name, Path(temporary, name))
            _build(Path(temporary, name), made, "--wheel")
        files = sorted(made.iterdir())
        sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        (made / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        shutil.rmtree(into, ignore_errors=True)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, into)
    for name, digest in sums.items():
        print(f"{digest[:12]}  {into / name}")  # noqa: T201
    if changed:
        print("Not all that was built is committed: this is no release.", file=sys.stderr)  # noqa: T201


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Packages are built from a git checkout, and git says: {done.stderr.strip()}")
    return done.stdout


def _copy_checkout(to: Path) -> None:
    """What git knows of, as it stands in the checkout: nothing else that lies there can get into a package."""
    for name in _git("ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def _say_where(source: Path, repository: str) -> None:
    """Give the metadata the project's address, if it is known; links of the page lead there, or are none."""
    settings, page = source / "pyproject.toml", source / "docs" / "python.md"
    project = tomllib.loads(settings.read_text())["project"]
    if repository:
        tree = f"{repository}/blob/v{project['version']}"
        settings.write_text(
            f"{settings.read_text()}\n[project.urls]\n"
            f'Source = "{repository}"\nDocumentation = "{tree}/docs/python.md"\nChangelog = "{tree}/CHANGELOG.md"\n'
        )
        page.write_text(_LINK.sub(lambda link: f"]({tree}/{_from_docs(link[1])})", page.read_text()))
    else:
        page.write_text(re.sub(r"\[([^\]]+)\]\((?![a-z]+:)[^)]+\)", r"\1", page.read_text()))


def _from_docs(link: str) -> str:
    """The place of a link of docs/python.md in the repository.

    >>> _from_docs("search.md#order"), _from_docs("../README.md")
    ('docs/search.md#order', 'README.md')
    """
    return os.path.normpath(f"docs/{link}")


def _lay_model(name: str, project: Path) -> None:
    """The project of a model's package, with the model in it, built anew from the published weights."""
    shutil.copytree(ROOT / "release" / "models" / name, project)
    base = name.removesuffix("-int8")
    built = build_model(base, quantize="fp16" if name == base else "int8", root=project.parent / "models")
    package = project / f"tagstream_model_{name.replace('-', '_')}"
    shutil.copytree(built, package)
    (package / "__init__.py").write_text(f'"""The model {name}, as Tagstream finds it: data alone."""\n')
    shutil.copyfile(ROOT / "LICENSE", project / "LICENSE")
    shutil.copyfile(ROOT / "tagstream" / "vocabulary" / "LICENCE-WordNet.txt", project / "LICENCE-WordNet.txt")


def _build(project: Path, into: Path, *kinds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(into), str(project)],
        capture_output=True,
        text=True,
        check=False,
        # Not where a folder called build lies, which would be taken for the program.
        cwd=project,
    )
    if done.returncode:
        sys.exit(f"{project.name} could not be built:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
