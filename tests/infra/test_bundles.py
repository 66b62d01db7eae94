"""The functions' real bundles, for AWS and for this machine: their size, and that each stands alone."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from stacks.bundling import AWS_VERSIONS, ROOT, Bundle, Target, aws, this_machine

MODEL = ROOT / "build" / "models" / "efficientnet-lite0"
MODEL_FILES = ("model.tflite", "labels.txt", "model.json")
FUNCTIONS = ("api", "catalog", "classify", "purge", "search")
EVERY_FUNCTION = sorted(path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py"))
AARCH64 = 183
# What there is in Amazon Linux besides a bundle's own libraries: of glibc, GCC and zlib.
SYSTEM = {
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
    "libz.so.1",
}


def bundle(name: str, target: Target) -> Path:
    data = {f"model/{file}": MODEL / file for file in MODEL_FILES} if name == "classify" else {}
    return Bundle(name, target, data).build()


@pytest.fixture(params=[aws, this_machine], ids=["aws", "here"])
def target(request: pytest.FixtureRequest) -> Target:
    found = request.param()
    assert isinstance(found, Target)
    return found


def test_classify_is_small(target: Target) -> None:
    path = bundle("classify", target)
    with zipfile.ZipFile(path) as archive:
        assert sum(entry.file_size for entry in archive.infolist()) <= 95 * 1024 * 1024
    # What stays on this machine is not compressed.
    assert path.stat().st_size <= 35_000_000 or not target.platforms


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_holds_only_what_it_needs(name: str, target: Target) -> None:
    with zipfile.ZipFile(bundle(name, target)) as archive:
        places = archive.namelist()
    top = {place.split("/")[0] for place in places}
    classifies = name == "classify"
    assert {"handler.py", "tagstream", "botocore", "aws_lambda_powertools"} <= top
    assert ({"ai_edge_litert", "numpy", "PIL", "model"} & top == set()) is not classifies
    assert "urllib3" in top
    # The official client of OpenSearch brings requests, and imports it.
    assert not {"tensorflow", "boto3", "aws_cdk", "click", "rich", "moto", "opensearchpy", "requests"} & top
    assert "lambdas/frame.py" in places
    assert ("lambdas/opensearch.py" in places) is not classifies
    ours = {place for place in places if place.startswith("tagstream/")}
    assert not {place for place in ours if place.startswith(("tagstream/cli", "tagstream/local", "tagstream/topics"))}
    assert any(place.startswith("tagstream/classifier/") for place in ours) is classifies
    assert len(places) == len(set(places))


def test_native_code_is_for_the_platform_of_the_function() -> None:
    for name in FUNCTIONS:
        with zipfile.ZipFile(bundle(name, aws())) as archive:
            libraries = [place for place in archive.namelist() if ".so" in Path(place).name]
            # The others' packages are of Python alone.
            assert bool(libraries) is (name in ("api", "classify"))
            for place in libraries:
                head = archive.read(place)[:20]
                assert head[:4] == b"\x7fELF", place
                assert int.from_bytes(head[18:20], "little") == AARCH64, place


def shared_objects(name: str) -> Iterator[tuple[str, ELFFile]]:
    with zipfile.ZipFile(bundle(name, aws())) as archive:
        for place in archive.namelist():
            if ".so" in Path(place).name:
                yield place, ELFFile(io.BytesIO(archive.read(place)))


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize("name", EVERY_FUNCTION)
def test_native_code_asks_for_nothing_that_lambda_may_lack(name: str) -> None:
    with zipfile.ZipFile(bundle(name, aws())) as archive:
        own = {Path(place).name for place in archive.namelist()}
    asked: set[str] = set()
    for place, library in shared_objects(name):
        for tag in library.get_section_by_name(".dynamic").iter_tags("DT_NEEDED"):
            assert tag.needed in own | SYSTEM, f"{place} needs {tag.needed}"
        needs = library.get_section_by_name(".gnu.version_r")
        for file, versions in needs.iter_versions() if needs else ():
            if file.name in own:
                continue
            for entry in versions:
                family, _, number = entry.name.rpartition("_")
                asked.add(family)
                assert version(number) <= version(AWS_VERSIONS[family]), f"{place} needs {entry.name} of {file.name}"
    # What sees nothing would pass, too.
    assert "GLIBC" in asked or not list(shared_objects(name))
    assert {"GLIBCXX", "CXXABI"} <= asked or name != "classify"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_starts_with_nothing_but_itself(name: str, tmp_path: Path) -> None:
    target = this_machine()
    with zipfile.ZipFile(bundle(name, target)) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import handler\n"
        "if handler.__name__ and 'classify' in sys.argv:\n"
        "    from tagstream.classifier import Classifier\n"
        "    from pathlib import Path\n"
        f"    assert Classifier(Path({str(tmp_path / 'model')!r})).labels\n"
        "    from pi_heif import HeifImageFile\n"
        "import botocore.session\n"
        "session = botocore.session.get_session()\n"
        "for service in ('s3', 'sqs', 'sts'): session.create_client(service, region_name='eu-west-1')\n"
        f"strays = [m.__file__ for m in sys.modules.values() if 'site-packages' in (getattr(m, '__file__', 0) or '')]\n"
        "print(strays)"
    )
    # Isolated, and without site-packages: only the bundle and the standard library.
    command = [str(target.compiler), "-I", "-S", "-c", code, name]
    environment = {"POWERTOOLS_SERVICE_NAME": name, "AWS_REGION": "eu-west-1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[]\n"
