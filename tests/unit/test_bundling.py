"""Bundles, made by the real pip from wheels in a directory: what is in them, and that none is ever half made."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stacks.bundling import Bundle, BundlingError, Target, discard_torn, find_python

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Target("here", PYTHON, (), Path(sys.executable))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def wheel(directory: Path, name: str, files: dict[str, str]) -> str:
    """Write a wheel, and give the line of a lock that it is installed by."""
    directory.mkdir(exist_ok=True)
    about = f"{name}-1.0.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(place, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{place},,\n" for place in [*files, f"{about}/RECORD"]))
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one function; pip finds packages in a directory only."""
    root = tmp_path / "project"
    write(
        root,
        {
            "lambdas/hello/handler.py": "import dep\nfrom lambdas.frame import FRAME\n"
            "from tagstream.greet import text\n\n"
            "def handler(event, context):\n    from tagstream import late\n"
            "    return dep.NAME + text() + late.WORD + FRAME\n",
            "lambdas/frame.py": "FRAME = '!'\n",
            "lambdas/other/handler.py": "",
            "lambdas/hello/requirements.txt": "# why\ndep  # a reason\n",
            "lambdas/hello/__pycache__/handler.pyc": "stale",
            "tagstream/__init__.py": "",
            "tagstream/greet/__init__.py": "from tagstream.greet.words import text\n",
            "tagstream/greet/words.py": "def text():\n    return ' hello '\n",
            "tagstream/greet/words.json": "{}",
            "tagstream/greet/unused.py": "import tagstream.other\n",
            "tagstream/greet/unused.txt": "read by unused.py alone",
            "tagstream/late.py": "WORD = 'late'\n",
            "tagstream/other.py": "",
            "model/weights": "w",
        },
    )
    wheels = tmp_path / "wheels"
    lock = wheel(
        wheels, "dep", {"dep/__init__.py": "NAME = 'dep'\n", "dep/tests/test_it.py": "", "dep/__init__.pyi": ""}
    )
    write(root, {"lambdas/hello/requirements.lock": f"# made by us\n{lock}"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return root


def bundle(project: Path) -> Bundle:
    return Bundle("hello", HERE, {"model/weights": project / "model" / "weights"}, project)


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name for name in archive.namelist() if not name.endswith(".pyc")}


def left(project: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (project / "build" / "bundles").iterdir())


def test_it_holds_what_the_function_reaches_and_nothing_else(project: Path) -> None:
    assert {name for name in names(bundle(project).build()) if "dist-info" not in name} == {
        "handler.py",
        "lambdas/frame.py",
        "model/weights",
        "tagstream/__init__.py",
        "tagstream/greet/__init__.py",
        "tagstream/greet/words.json",
        "tagstream/greet/words.py",
        "tagstream/late.py",
    }


def test_it_runs_on_its_own_and_compiles_nothing(project: Path, tmp_path: Path) -> None:
    unzipped = tmp_path / "task"
    with zipfile.ZipFile(bundle(project).build()) as archive:
        archive.extractall(unzipped)
    compiled = sorted(unzipped.rglob("*.pyc"))
    # A package's module is there once, compiled; ours have their sources beside them.
    assert [path for path in compiled if path.parent.name != "__pycache__"] == [unzipped / "dep" / "__init__.pyc"]
    assert len(compiled) == len(list(unzipped.rglob("*.py"))) + 1
    # The flags of PEP 552: hash-based, and never checked against the source.
    assert {struct.unpack("<I", path.read_bytes()[4:8])[0] for path in compiled} == {0b01}
    code = f"import sys; sys.path.insert(0, {str(unzipped)!r}); import handler; print(handler.handler({{}}, None))"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "dep hello late!\n"


def test_only_what_is_sent_away_is_compressed(project: Path) -> None:
    # pip takes a platform of its own for a foreign one, too; the wheel is for any.
    away = replace(bundle(project), target=replace(HERE, name="away", platforms=("manylinux2014_x86_64",)))
    for made, method in ((bundle(project), zipfile.ZIP_STORED), (away, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(made.build()) as archive:
            assert {entry.compress_type for entry in archive.infolist()} == {method}


def test_a_second_build_finds_the_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle(project).build()
    content = first.read_bytes()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert bundle(project).build() == first
    # A change of our own code needs no packages anew, and the way back leads to the same bytes.
    (project / "tagstream/late.py").write_text("WORD = 'later'\n")
    assert bundle(project).build() != first
    (project / "tagstream/late.py").write_text("WORD = 'late'\n")
    first.unlink()
    assert bundle(project).build() == first
    assert first.read_bytes() == content


@pytest.mark.parametrize(
    "changed",
    [
        "lambdas/frame.py",
        "lambdas/hello/handler.py",
        "lambdas/hello/requirements.lock",
        "tagstream/greet/words.py",
        "tagstream/greet/words.json",
        "model/weights",
    ],
)
def test_whatever_it_is_made_from_changes_its_hash(project: Path, changed: str) -> None:
    before = bundle(project).digest
    path = project / changed
    path.write_text(path.read_text() + (f"more==1 --hash=sha256:{'0' * 64}\n" if path.suffix == ".lock" else "\n"))
    assert bundle(project).digest != before


def test_what_it_is_not_made_from_does_not(project: Path) -> None:
    before = bundle(project).digest
    (project / "tagstream/greet/unused.py").write_text("X = 1\n")
    (project / "lambdas/hello/requirements.txt").write_text("dep # another reason\n")
    os.utime(project / "tagstream/late.py", (0, 0))
    assert bundle(project).digest == before


def test_its_platform_changes_its_hash(project: Path) -> None:
    here = bundle(project)
    others = [
        replace(here, target=replace(HERE, platforms=("manylinux2014_aarch64",))),
        replace(here, target=replace(HERE, python="3.99")),
        replace(here, target=replace(HERE, compiler=None)),
    ]
    assert len({here.digest, *(other.digest for other in others)}) == 4


def test_the_release_of_its_compiler_changes_its_hash(project: Path, tmp_path: Path) -> None:
    digests = set()
    for release in ("3.13.0", "3.13.1"):
        compiler = tmp_path / f"python-{release}"
        compiler.write_text(f"#!/bin/sh\necho {release}\n")
        compiler.chmod(0o755)
        digests.add(replace(bundle(project), target=replace(HERE, compiler=compiler)).digest)
    assert len(digests) == 2


def test_without_a_compiler_it_still_runs(project: Path) -> None:
    path = replace(bundle(project), target=replace(HERE, compiler=None)).build()
    with zipfile.ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".pyc")]
        assert "handler.py" in archive.namelist()


def test_a_package_that_cannot_be_had_is_told_with_what_pip_says(project: Path) -> None:
    (project / "lambdas/hello/requirements.txt").write_text("no-such-package\n")
    (project / "lambdas/hello/requirements.lock").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BundlingError, match=r"lambdas/hello[\s\S]*no-such-package"):
        bundle(project).build()
    assert left(project) == []


def test_a_file_that_is_not_the_locked_one_is_not_installed(project: Path, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "dep", {"dep/__init__.py": "NAME = 'another'\n"})
    with pytest.raises(BundlingError, match="DO NOT MATCH THE HASHES"):
        bundle(project).build()
    assert left(project) == []


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (None, "is missing: run 'make lock'"),
        ("", r"does not have dep: run 'make lock'"),
        ("dep\n", "not one version of a package"),
        ("dep==1.0 --hash=md5:00\n", "not one version of a package"),
        ("--extra-index-url=https://example.com\n", "not one version of a package"),
        ("dep==1.0\n", "Hashes are required"),
    ],
)
def test_a_lock_that_is_not_whole_is_told(project: Path, lock: str | None, said: str) -> None:
    path = project / "lambdas/hello/requirements.lock"
    path.unlink()
    if lock is not None:
        path.write_text(lock)
    with pytest.raises(BundlingError, match=said):
        bundle(project).build()


def test_it_knows_of_which_package_each_file_is(project: Path) -> None:
    hello = bundle(project)
    (dep,) = hello.installed()
    assert (dep.name, dep.version) == ("dep", "1.0")
    assert f"sha256:{dep.sha256}" in (project / "lambdas/hello/requirements.lock").read_text()
    about = {f"dep-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL")}
    assert set(dep.files) == {"dep/__init__.pyc", *about}
    with zipfile.ZipFile(hello.build()) as archive:
        assert set(dep.files) <= set(archive.namelist())


def test_an_interrupted_build_leaves_nothing_that_could_be_used(project: Path) -> None:
    (project / "model/weights").unlink()
    with pytest.raises(FileNotFoundError):
        bundle(project).build()
    assert left(project) == ["packages", "packages"]
    (project / "model/weights").write_text("w")
    assert "model/weights" in names(bundle(project).build())


def test_builds_at_the_same_time_give_the_same(project: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: bundle(project).build(), range(2)))
    assert len(set(paths)) == 1
    assert "handler.py" in names(paths[0])
    assert left(project) == ["hello", "packages", "packages"]


def test_what_was_not_used_for_a_week_goes(project: Path) -> None:
    old = bundle(project).build()
    os.utime(old, (0, 0))
    (project / "tagstream/late.py").write_text("WORD = 'new'\n")
    new = bundle(project).build()
    assert not old.exists()
    assert new.exists()


def test_torn_archives_of_an_assembly_are_discarded(tmp_path: Path) -> None:
    whole, torn, other = tmp_path / "asset.1.zip", tmp_path / "asset.2.zip", tmp_path / "manifest.json"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("handler.py", "pass\n" * 100)
    torn.write_bytes(whole.read_bytes()[:-10])
    other.write_text("{}")
    discard_torn(tmp_path)
    assert sorted(tmp_path.iterdir()) == [whole, other]


def test_a_python_that_does_not_run_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'python3.99: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_python("3.99") is None
    real = tmp_path / "versions" / "3.99.1" / "bin" / "python3.99"
    real.parent.mkdir(parents=True)
    real.write_text("#!/bin/sh\necho 3.99\n")
    real.chmod(0o755)
    assert find_python("3.99") == real
    assert find_python(PYTHON) == Path(sys.executable)


def test_pins_are_those_of_the_functions_platform_and_not_of_the_interpreter_that_bundles() -> None:
    text = (
        "# all\n"
        "plain==1\n"
        'runtime==1 ; sys_platform == "linux" and python_version < "3.14"\n'
        'runtime==2 ; sys_platform != "linux" or python_version >= "3.14"\n'
        'machine==1 ; platform_machine == "aarch64"\n'
        'machine==2 ; platform_machine != "aarch64"\n'
    )

    def pins(target: Target) -> list[str]:
        return [f"{pin.name}=={pin.version}" for pin in target.pins(text)]

    arm = ("manylinux_2_34_aarch64", "manylinux2014_aarch64")
    assert pins(Target("arm64", "3.13", arm, None)) == ["plain==1", "runtime==1", "machine==1"]
    assert pins(Target("arm64", "3.14", arm, None)) == ["plain==1", "runtime==2", "machine==1"]
    assert pins(Target("x86_64", "3.13", ("manylinux2014_x86_64",), None)) == ["plain==1", "runtime==1", "machine==2"]
