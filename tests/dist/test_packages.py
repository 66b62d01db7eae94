"""The packages: installed as others would, on each Python of this machine, and used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from email.parser import Parser
from pathlib import Path

import pytest
import zstandard
from packaging.requirements import Requirement

from tagstream.machine import DEFAULT_MODELS, default_models
from tests.dist.conftest import PROGRAMS, ROOT, VERSIONS, Environment, Published, run

HERE = "{}.{}".format(*sys.version_info)
CARRIED = "tagstream/local/checkout"
EXTRAS = ("base", "topics", "catalog", "classify")

pytestmark = pytest.mark.dist


def installed(at: Environment, published: Published, extra: str) -> Environment:
    wheel = str(published.wheel)
    at.install(*([wheel] if extra == "base" else [f"{wheel}[{extra}]", *map(str, published.models)]))
    return at


def use(at: Environment, extra: str, aws: Mapping[str, str], photo: Path) -> None:
    """Run the program of an extra."""
    cache = at.folder.parent / "cache"
    cache.mkdir(exist_ok=True)
    at.run(PROGRAMS / f"{extra}.py", photo, XDG_CACHE_HOME=str(cache), **aws)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("extra", EXTRAS)
def test_a_part_works_with_its_extra_alone(
    extra: str,
    version: str,
    environment: Callable[[str], Environment],
    published: Published,
    aws: Mapping[str, str],
    photo: Path,
) -> None:
    at = installed(environment(version), published, extra)
    use(at, extra, aws, photo)
    if extra == "base":
        code, said = at.fails("tagstream", "--help")
        assert (code, said) == (1, "Error: click is not installed: run pip install 'tagstream[cli]'\n")
    if version == HERE:
        check_types(at, extra)


def check_types(at: Environment, extra: str) -> None:
    """The program of an extra is one of somebody who checks types strictly."""
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", at.python]
    run(*mypy, PROGRAMS / f"{extra}.py", cwd=at.folder.parent, env=at.variables(MYPY_CACHE_DIR=os.devnull))


@pytest.mark.parametrize("version", VERSIONS)
def test_topics_need_zstandard_for_zstd_alone_and_where_python_has_none(
    version: str, environment: Callable[[str], Environment], published: Published
) -> None:
    at = installed(environment(version), published, "topics")
    lines = b"CCO\nc1ccccc1\n" * 20_000
    (at.folder.parent / "lines").write_bytes(lines)
    (at.folder.parent / "packed").write_bytes(zstandard.compress(lines))
    if version < "3.14":
        code, said = at.fails("python", str(PROGRAMS / "zstd.py"))
        assert (code, "run pip install 'tagstream[zstd]'" in said) == (1, True), said
        # What Python 3.14 has, as those who made it publish it for older ones.
        at.install("backports.zstd")
        shim = at.folder.parent / "shim" / "compression"
        shim.mkdir(parents=True)
        (shim / "__init__.py").touch()
        (shim / "zstd.py").write_text("from backports.zstd import *\n")
        at.run(PROGRAMS / "zstd.py", PYTHONPATH=str(shim.parent))
    else:
        at.run(PROGRAMS / "zstd.py")
    at = installed(at, published, "zstd")
    at.run(PROGRAMS / "zstd.py")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_command_line_works_outside_of_a_checkout_and_builds_models_with_their_extra(
    version: str,
    environment: Callable[[str], Environment],
    published: Published,
    aws: Mapping[str, str],
    photo: Path,
) -> None:
    at = installed(environment(version), published, "cli")

    def tagstream(*arguments: str) -> str:
        return run(at.folder / "bin" / "tagstream", *arguments, cwd=at.folder.parent, env=at.variables(**aws))

    assert "tagstream images search" in tagstream("--help")
    assert tagstream("--version").startswith("tagstream, version ")
    for command in re.findall(r"^  (\w+)  ", tagstream("--help").partition("Commands:")[2], re.MULTILINE):
        assert "Usage: " in tagstream(command, "--help")
    rows = {row["model"]: row for row in map(json.loads, tagstream("models", "list", "--json").splitlines())}
    assert {rows[name]["status"] for name in DEFAULT_MODELS} == {"ready"}
    assert [name for name, row in rows.items() if row["default"]] == [default_models()[0]]
    assert rows["efficientnet-lite2"]["status"] == "not built"
    seen = json.loads(tagstream("images", "classify", str(photo), "--json"))
    assert (seen["tags"][0]["tag"], seen["model"]) == ("drum", default_models()[0])
    assert "drum.jpg" in tagstream("images", "search", "drum", "--json", "--stage", "dev")
    topic = f"cli-{version.replace('.', '-')}"
    tagstream("topics", "create", topic)
    assert topic in tagstream("topics", "list")

    for arguments, message in (
        (("local", "up"), "run pip install 'tagstream[local]'"),
        (("local", "demo"), "run pip install 'tagstream[local]'"),
        (("images", "stats"), "start one with 'tagstream local up'"),
        (("models", "build", "efficientnet-lite2"), "run pip install 'tagstream[models]'"),
    ):
        code, said = at.fails("tagstream", *arguments)
        last = said.splitlines()[-1]
        assert (code, last.startswith("Error: "), message in last) == (1, True, True), said
    assert not (at.folder.parent / "home" / ".cache").exists(), "nothing was left"

    installed(at, published, "models")
    use(at, "models", aws, photo)
    assert '"ready"' in at.run("-m", "tagstream", "models", "list", "--json", XDG_CACHE_HOME=str(at.folder.parent / "cache"))
    if version == HERE:
        check_types(at, "models")


def lowest(wheel: Path, extras: set[str]) -> Iterator[str]:
    """The requirements of extras at their lower bounds; those of a project's own wheels are left out."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        about = Parser().parsestr(archive.read(name).decode())
    for text in about.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        wanted = any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and not requirement.name.startswith("tagstream"):
            (bound,) = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
            yield f"{requirement.name}=={bound}"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the lowest versions have no wheels for newer Pythons")
def test_the_lowest_versions_that_are_allowed_will_do(
    environment: Callable[[str], Environment], published: Published, aws: Mapping[str, str], photo: Path
) -> None:
    at = environment(HERE)
    at.install("--only-binary=:all:", *lowest(published.wheel, {*EXTRAS, "zstd", "cli", "models", "local"} - {"base"}))
    installed(at, published, "cli,models,local")
    for extra in (*EXTRAS[1:], "models"):
        use(at, extra, aws, photo)
    for arguments in (
        ("--help",),
        ("images", "classify", str(photo)),
        ("images", "search", "drum", "--json", "--stage", "dev"),
        ("topics", "create", "lowest"),
        ("topics", "list"),
        ("models", "list"),
    ):
        at.run("-m", "tagstream", *arguments, **aws)
    # What brings the local cloud up: the stacks that the wheel carries, on the versions that its extra allows.
    carried = Path(at.run("-c", "import tagstream; print(tagstream.__path__[0])").strip(), "local", "checkout")
    at.run("-W", "ignore", "-c", "import stacks.application", PYTHONPATH=str(carried))
    code, said = at.fails("tagstream", "topics", "creat", "lowest")
    assert (code, "Did you mean 'create'" in said) == (2, True), said


def test_the_same_commit_gives_the_same_bytes(published: Published, tmp_path: Path) -> None:
    """In another folder, at another time, and for somebody whose files others may not read."""
    again = Published(tmp_path / "elsewhere" / "again")
    options = {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1", "HOME": str(tmp_path)}
    run(sys.executable, "-m", "release", "--into", again.folder, cwd=ROOT, env=os.environ | options, umask=0o077)
    names = sorted(path.name for path in published.folder.iterdir())
    assert len(names) == 3 + len(DEFAULT_MODELS)
    assert [path.name for path in sorted(again.folder.iterdir())] == names
    for name in names:
        assert (again.folder / name).read_bytes() == (published.folder / name).read_bytes(), name
    for line in (published.folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((published.folder / name).read_bytes()).hexdigest() == digest


def test_the_wheel_of_the_source_distribution_is_the_wheel_of_the_checkout(
    published: Published, tmp_path: Path
) -> None:
    with tarfile.open(published.one("*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    epoch = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "wheel", source]
    run(*build, cwd=source, env=os.environ | {"SOURCE_DATE_EPOCH": epoch})
    assert (tmp_path / "wheel" / published.wheel.name).read_bytes() == published.wheel.read_bytes()


def test_all_that_the_code_reads_is_in_the_wheel_and_nothing_else(published: Published) -> None:
    """And what the local cloud deploys, which a checkout has beside it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    deployed = settings["hooks"]["custom"]["files"]
    tracked = [
        *run("git", "ls-files", "tagstream", cwd=ROOT).split(),
        *(f"{CARRIED}/{name}" for name in run("git", "ls-files", *deployed, cwd=ROOT).split()),
    ]
    with zipfile.ZipFile(published.wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
    assert inside == {name for name in tracked if (ROOT / name.removeprefix(f"{CARRIED}/")).is_file()}
    assert {f"{CARRIED}/{name}" for name in ("cdk.json", "lambdas/api/requirements.lock")} <= inside
    assert {"tagstream/py.typed", "tagstream/vocabulary/tree.json", "tagstream/local/requirements.txt"} <= inside
    assert {"licenses/LICENSE", "licenses/NOTICE", "licenses/tagstream/vocabulary/LICENCE-WordNet.txt"} <= about


def test_a_checkout_that_was_built_is_as_it_was(published: Published) -> None:
    assert published.wheel.is_file()
    assert not (ROOT / "build" / "lib").exists()
    assert not list(ROOT.glob("*.egg-info"))
