"""What a Python function is deployed as: one zip with its handler, its parts of ``tagstream`` and of what stands
beside the handlers, its packages.

Made by pip from ready wheels for the function's own platform, each checked by its hash in the function's lock, so that
neither Docker nor a machine of that kind is needed. The same sources give the same bytes in whatever directory they
are. A finished bundle is kept under ``build/bundles`` by the hash of everything that goes into it:
it appears there whole or not at all, and whoever wants the same one again finds it.
"""

from __future__ import annotations

import ast
import csv
import functools
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks import locks
from stacks.locks import LockError, Pin

__all__ = [
    "AWS_PYTHON",
    "AWS_VERSIONS",
    "Bundle",
    "BundlingError",
    "Installed",
    "Target",
    "aws",
    "discard_torn",
    "find_python",
    "this_machine",
]

ROOT = Path(__file__).resolve().parent.parent
AWS_PYTHON = "3.13"

# Amazon Linux 2023, the base of Lambda's Python 3.12 and later, has glibc 2.34. pip matches tags exactly, and
# wheels carry that of the oldest glibc they run on.
_AWS_PLATFORMS = (*(f"manylinux_2_{minor}_aarch64" for minor in range(34, 16, -1)), "manylinux2014_aarch64")

AWS_VERSIONS = {"GLIBC": "2.34", "GLIBCXX": "3.4.29", "CXXABI": "1.3.13", "GCC": "7.0.0"}
"""The newest versions of symbols that a function's libraries may ask of Lambda's Python 3.12 and later.

A wheel's tag promises less than that, and not every wheel keeps it. Amazon Linux 2023 has glibc 2.34 for good
(https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html), and came with the C++ runtime of GCC 11, which is the
one that counts here (https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html). Its images have had that of GCC 14
since April 2025 (https://github.com/amazonlinux/container-images/issues/132), when functions on Lambda still had the
older one; nobody says which of them a function is given today, so the older one it is. Looked up in November 2026.
"""

# What pip installs and no function uses, as globs below the bundle's root: half of it.
_STRIPPED = (
    "bin",
    "**/__pycache__",
    "**/tests",
    "**/*.pyi",
    "**/*.c",
    # LiteRT: everything but the interpreter, which needs none of the packages it names either.
    "ai_edge_litert/*WebGpu*",
    "ai_edge_litert/*webgpu*",
    "ai_edge_litert/*_pb2.py",
    "ai_edge_litert/schema_py_generated.py",
    "ai_edge_litert/aot",
    "ai_edge_litert/internal",
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "flatbuffers",
    "google",
    "ml_dtypes",
    "tqdm",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_core/*_tests.*",
    "numpy/_core/_simd.*",
    "numpy/_pyinstaller",
    "numpy/ctypeslib",
    "numpy/distutils",
    "numpy/f2py",
    "numpy/fft",
    "numpy/linalg/lapack_lite.*",
    "numpy/ma",
    "numpy/polynomial",
    "numpy/random",
    "numpy/testing",
    # Pillow: fonts, windows, and what computes with whole images.
    "PIL/_imagingft.*",
    "PIL/_imagingmath.*",
    "PIL/_imagingmorph.*",
    "PIL/_imagingtk.*",
    "pillow.libs/libbrotli*",
    "pillow.libs/libfreetype*",
    "pillow.libs/libharfbuzz*",
    "pillow.libs/libpng*",
    # Powertools: what answers other questions than ours.
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/streaming",
    # Time zones: all times here are UTC.
    "dateutil/zoneinfo/*.gz",
    # Lists of files that are no longer as they say, and who installed them for whom.
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
)
# Powertools: HTTP APIs; of use to a function that checks requests, which takes pydantic.
_STRIPPED_UNLESS = {"aws_lambda_powertools/event_handler": "pydantic"}
# botocore describes every service of AWS in its data; the functions talk to these, and sign for OpenSearch.
_SERVICES = frozenset({"lambda", "s3", "sqs", "sts"})

# What a handler may import of ours: the domain, and what stands beside the handlers for all of them.
_OURS = ("tagstream", "lambdas")


class BundlingError(Exception):
    """A function's bundle cannot be made; the message says what to do."""

    @property
    def problems(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True)
class Target:
    """The platform that a function runs on.

    ``platforms``: pip's platform tags; none for this machine's own. ``compiler``: a Python of the same
    version, which compiles the bundle's modules ahead of the first start; without one, cold starts compile.
    """

    name: str
    python: str
    platforms: tuple[str, ...]
    compiler: Path | None

    def pins(self, lock: str) -> list[Pin]:
        """What a lock has for this platform. Raises :class:`stacks.locks.LockError`.

        pip would ask its markers of the interpreter that it runs on, also when it installs for another one.
        """
        return [pin for pin in locks.read_lock(lock) if pin.holds(self.environment)]

    @property
    def label(self) -> str:
        """As bundles' names have it: ``arm64-py3.13``."""
        return f"{self.name}-py{self.python}"

    @property
    def environment(self) -> dict[str, str]:
        """What markers ask for, as far as it is another than in this interpreter."""
        environment = {"python_version": self.python, "python_full_version": f"{self.python}.0"}
        if self.platforms:
            machine = re.sub(r"^manylinux(2014|_\d+_\d+)_", "", self.platforms[0])
            environment |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
        return environment


@dataclass(frozen=True)
class Installed:
    """A package in a bundle: ``sha256`` of the wheel that it was installed from, ``files`` below the bundle's root."""

    name: str
    version: str
    sha256: str
    files: tuple[str, ...]


@functools.cache
def aws() -> Target:
    """Lambda's Python on Graviton."""
    return Target("arm64", AWS_PYTHON, _AWS_PLATFORMS, find_python(AWS_PYTHON))


@functools.cache
def this_machine() -> Target:
    """The interpreter that the local cloud runs functions on: that of ``.venv-local``, once it is made."""
    python = ROOT / ".venv-local" / "bin" / "python"
    version = _version_of(python)
    if version is None:
        python, version = Path(sys.executable), f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target(platform.machine(), version, (), python)


def find_python(version: str) -> Path | None:
    """A Python of that version which really runs: a shim on the PATH may stand for one that is not installed."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(sys.executable)]
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    candidates.extend(sorted(versions.glob(f"{version}*/bin/python{version}")))
    return next((path for path in candidates if _version_of(path) == version), None)


def _version_of(python: Path) -> str | None:
    release = _release_of(python)
    return release and ".".join(release.split(".")[:2])


def _release_of(python: Path) -> str | None:
    """Its version to the last digit, on which the bytes of compiled modules depend."""
    code = "import platform; print(platform.python_version())"
    try:
        run = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


@dataclass(frozen=True)
class Bundle:
    """The bundle of the function ``lambdas/<name>`` below ``root``.

    ``data`` are further files: their place in the bundle → where they are now.
    """

    name: str
    target: Target
    data: Mapping[str, Path] = field(default_factory=dict)
    root: Path = ROOT

    @property
    def source(self) -> Path:
        return self.root / "lambdas" / self.name

    @property
    def _bundles(self) -> Path:
        return self.root / "build" / "bundles"

    @functools.cached_property
    def digest(self) -> str:
        """Changes with anything that the bundle is made from, this builder included."""
        digest = hashlib.sha256(f"{self.name}\0{self._packages_digest}\n".encode())
        for place, path in sorted(self.files()):
            digest.update(f"{place}\0{checksum(path)}\n".encode())
        return digest.hexdigest()

    def build(self) -> Path:
        """The finished zip: the one at hand, or a new one. Raises :class:`BundlingError`."""
        finished = self._bundles / f"{self.name}-{self.target.label}-{self.digest[:20]}.zip"
        if finished.exists():
            finished.touch()
            return finished
        print(f"Bundling {self.name} for {self.target.name} ...", file=sys.stderr, flush=True)  # noqa: T201
        self._bundles.mkdir(parents=True, exist_ok=True)
        _prune(self._bundles)
        packages = self._packages()
        # In the same directory, so that the last step is a rename: others see a whole bundle or none.
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._bundles) as scratch:
            root = Path(scratch, "root")
            for place, path in self.files():
                destination = root / place
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, destination)
            self._compile(root)
            archive = Path(scratch, "bundle.zip")
            _zip([packages, root], archive, compress=bool(self.target.platforms))
            archive.replace(finished)
        return finished

    def files(self) -> Iterator[tuple[str, Path]]:
        """What is not of a package: the handler's directory, the modules it reaches, the data.

        Each with its place in the bundle, and where it is now; modules are in the bundle as compiled ones, too.
        """
        for path in _files_below(self.source):
            if path.name not in ("requirements.txt", "requirements.lock") and "__pycache__" not in path.parts:
                yield str(path.relative_to(self.source)), path
        for path in _modules(self.source, self.root):
            yield str(path.relative_to(self.root)), path
        yield from self.data.items()

    @functools.cached_property
    def _pins(self) -> list[Pin]:
        """What is installed, sorted by name. Raises :class:`BundlingError` for a lock that is not whole."""
        lines = (self.source / "requirements.txt").read_text().splitlines()
        asked = {
            canonicalize_name(Requirement(text).name)
            for text in (line.partition("#")[0] for line in lines)
            if text.strip()
        }
        lock = self.source / "requirements.lock"
        try:
            pins = self.target.pins(lock.read_text())
        except FileNotFoundError:
            raise BundlingError(f"{lock} is missing: run 'make lock'") from None
        except LockError as error:
            raise BundlingError(f"{lock}: {error}") from error
        if missing := asked - {pin.name for pin in pins}:
            raise BundlingError(f"{lock} does not have {', '.join(sorted(missing))}: run 'make lock'")
        return sorted(pins, key=lambda pin: pin.name)

    @functools.cached_property
    def _packages_digest(self) -> str:
        machine = () if self.target.platforms else (platform.system(), platform.machine())
        parts = (
            [(pin.name, pin.version, sorted(pin.hashes)) for pin in self._pins],
            self.target.python,
            self.target.platforms,
            self.target.compiler and _release_of(self.target.compiler),
            machine,
            [checksum(Path(module)) for module in (__file__, locks.__file__)],
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def installed(self) -> list[Installed]:
        """The packages in the bundle, sorted by name, each with the files that are left of it. Builds the bundle."""
        self.build()
        self._packages()
        return [
            Installed(**package | {"files": tuple(package["files"])}) for package in json.loads(self._list.read_text())
        ]

    @property
    def _list(self) -> Path:
        """What :meth:`installed` says. Beside the packages: a bundle holds nothing that its function doesn't use."""
        return self._bundles / f"{self._packages_directory.name}.json"

    @property
    def _packages_directory(self) -> Path:
        return self._bundles / f"packages-{self.target.label}-{self._packages_digest[:20]}"

    def _packages(self) -> Path:
        """The directory with the installed packages; functions that require the same share it."""
        finished, listed = self._packages_directory, self._list
        if finished.exists() and listed.exists():
            os.utime(finished)
            os.utime(listed)
            return finished
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command += ["--require-hashes", "--no-deps"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.target.python]
        for tag in self.target.platforms:
            command += ["--platform", tag]
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._bundles) as scratch:
            root, lock, report = Path(scratch, "packages"), Path(scratch, "lock.txt"), Path(scratch, "report.json")
            lock.write_text("".join(f"{pin.requirement}\n" for pin in self._pins))
            command += ["--target", str(root), "--requirement", str(lock), "--report", str(report)]
            # pip refuses to install nothing, and nothing is what some functions need.
            root.mkdir()
            packages: list[Installed] = []
            if self._pins:
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                if run.returncode:
                    output = (run.stdout + run.stderr).strip()
                    raise BundlingError(f"pip could not install the packages of lambdas/{self.name}:\n{output}")
                owners = _owners(root)
                _strip(root)
                self._compile(root)
                _leave_out_sources(root)
                packages = _installed(root, owners, json.loads(report.read_text()))
            text = Path(scratch, "packages.json")
            text.write_text(json.dumps([asdict(package) for package in packages], indent=1))
            text.replace(listed)
            try:
                root.rename(finished)
            except OSError:
                # Another process was faster, with the same.
                if not finished.is_dir():
                    raise
        return finished

    def _compile(self, root: Path) -> None:
        if self.target.compiler is None:
            return
        # Archives and deployments change timestamps: modules are trusted without looking at them.
        command = [str(self.target.compiler), "-I", "-m", "compileall", "-q", "-j", "0"]
        command += ["-s", str(root), "-p", "/var/task", "--invalidation-mode", "unchecked-hash", str(root)]
        # Templates and samples inside packages may not compile; that would be said on importing them.
        subprocess.run(command, capture_output=True, check=False)
        if not any(root.rglob("*.pyc")):
            raise BundlingError(f"{self.target.compiler} compiled nothing for lambdas/{self.name}: is it broken?")


def discard_torn(assembly: Path) -> None:
    """Remove archives that an interrupted synth left incomplete: the next one would take them as they are."""
    for archive in assembly.glob("asset.*.zip"):
        if not zipfile.is_zipfile(archive):
            archive.unlink()


def _prune(bundles: Path) -> None:
    """Remove what no synth used for a week, and what an interrupted one left behind."""
    now = time.time()
    for path in bundles.iterdir():
        allowed = 3600 if path.name.startswith(".") else 7 * 86400
        if now - path.stat().st_mtime > allowed:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def _modules(source: Path, root: Path) -> list[Path]:
    """The files of ours that the modules in ``source`` import, directly or through one another.

    Every import counts, also one inside a function. With a module come its packages' ``__init__.py`` and
    the data files that lie beside it, but for one with the name of a module that is not reached.
    """
    found: set[Path] = set()
    waiting = sorted(source.rglob("*.py"))
    while waiting:
        for name in _imported(waiting.pop()):
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                path = root.joinpath(*parts[:depth])
                module = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
                if module.exists() and module not in found:
                    found.add(module)
                    waiting.append(module)
    data = {
        path
        for directory in {module.parent for module in found}
        for path in directory.iterdir()
        if path.is_file()
        and path.suffix in (".txt", ".json")
        # words.txt is read by words.py, and goes where that goes.
        and (path.with_suffix(".py") in found or not path.with_suffix(".py").exists())
    }
    return sorted(found | data)


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in _OURS)


def _owners(root: Path) -> dict[str, str]:
    """The file of every package → its name: what the packages' own lists say, before anything is left out."""
    owners: dict[str, str] = {}
    for about in root.glob("*.dist-info"):
        name = canonicalize_name(about.name.removesuffix(".dist-info").rpartition("-")[0])
        owners |= {place: name for place, *_ in csv.reader((about / "RECORD").read_text().splitlines())}
    return owners


def _installed(root: Path, owners: Mapping[str, str], report: Mapping[str, Any]) -> list[Installed]:
    """What is left of each package that pip's report names."""
    files: dict[str, list[str]] = {}
    for path in _files_below(root):
        place = path.relative_to(root).as_posix()
        # A module became the compiled one, and a packed description the plain one.
        was = next((name for name in (place, place.removesuffix("c"), f"{place}.gz") if name in owners), None)
        if was is None:
            raise BundlingError(f"{place} is of none of the packages that were installed")
        files.setdefault(owners[was], []).append(place)
    packages = []
    for entry in report["install"]:
        about, archive = entry["metadata"], entry["download_info"]["archive_info"]
        name = canonicalize_name(about["name"])
        left = tuple(files.pop(name, ()))
        packages.append(Installed(name, about["version"], archive["hashes"]["sha256"], left))
    return sorted(packages, key=lambda package: package.name)


def _strip(root: Path) -> None:
    unused = [pattern for pattern, package in _STRIPPED_UNLESS.items() if not (root / package).is_dir()]
    for pattern in (*_STRIPPED, *unused):
        for path in sorted(root.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for library in root.rglob("*.so*"):
        _leave_out_symbols(library)
    data = root / "botocore" / "data"
    if data.is_dir():
        for service in data.iterdir():
            if service.is_dir() and service.name not in _SERVICES:
                shutil.rmtree(service)
        # It also reads where each of them is: a third of a cold start, most of it for services that nobody asks for.
        endpoints = data / "endpoints.json"
        known = json.loads(endpoints.read_text())
        for partition in known["partitions"]:
            partition["services"] = {name: at for name, at in partition["services"].items() if name in _SERVICES}
        endpoints.write_text(json.dumps(known))
        # Unpacking the descriptions and reading what they tell people would be done anew at each cold start.
        for packed in data.rglob("*.json.gz"):
            described = json.loads(gzip.decompress(packed.read_bytes()))
            packed.with_suffix("").write_text(json.dumps(_without_documentation(described)))
            packed.unlink()


def _without_documentation(value: Any) -> Any:
    """With empty documentation: botocore looks for some of it."""
    if isinstance(value, dict):
        return {
            name: "" if name == "documentation" and isinstance(item, str) else _without_documentation(item)
            for name, item in value.items()
        }
    return [_without_documentation(item) for item in value] if isinstance(value, list) else value


def _leave_out_sources(root: Path) -> None:
    """Leave packages' compiled modules where their sources were: a traceback still names file and line.

    It is 8 MiB less to unpack, and nothing to look up in ``__pycache__`` at each import. Our own sources stay.
    """
    for compiled in root.rglob("__pycache__/*.pyc"):
        source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
        if source.exists():
            compiled.replace(source.with_suffix(".pyc"))
            source.unlink()
    for cache in [path for path in root.rglob("__pycache__") if not any(path.iterdir())]:
        cache.rmdir()


# The 64-bit, little-endian kind; https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
_ELF_HEADER = struct.Struct("<16s2HI3QI6H")
_ELF_SEGMENT = struct.Struct("<2I6Q")
_ELF_SECTION = struct.Struct("<2I4Q2I2Q")
_LOADED, _IN_MEMORY, _NOT_IN_FILE, _INFO_IS_SECTION = 1, 2, 8, 64


def _leave_out_symbols(path: Path) -> None:
    """Take out of a library what only linkers and debuggers read: symbol tables, lines, types.

    What is loaded keeps its place: what stands behind it is cut off, what stands between is blanked, which a zip makes
    small. ``strip`` moves it, and breaks the libraries that wheels bring along. The remaining sections keep their
    headers, by which tools read what a library asks of the system.
    """
    data = bytearray(path.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":
        return
    header = list(_ELF_HEADER.unpack_from(data))
    segments_at, sections_at, segments, sections, names = header[5], header[6], header[10], header[12], header[13]
    loaded = [_ELF_SEGMENT.unpack_from(data, segments_at + _ELF_SEGMENT.size * n) for n in range(segments)]
    end = max(offset + size for kind, _, offset, _, _, size, *_ in loaded if kind == _LOADED)
    every = [list(_ELF_SECTION.unpack_from(data, sections_at + _ELF_SECTION.size * n)) for n in range(sections)]
    names_text = bytes(data[every[names][4] : every[names][4] + every[names][5]])
    kept: dict[int, int] = {}
    for number, section in enumerate(every):
        if number in (0, names) or section[2] & _IN_MEMORY:
            kept[number] = len(kept)
        elif section[1] != _NOT_IN_FILE and section[4] < end:
            data[section[4] : section[4] + section[5]] = bytes(section[5])
    del data[end:]
    every[names][4] = len(data)
    data += names_text
    data += bytes(-len(data) % 8)
    header[6], header[12], header[13] = len(data), len(kept), kept[names]
    for number in kept:
        section = every[number]
        section[6] = kept.get(section[6], 0)
        if section[2] & _INFO_IS_SECTION:
            section[7] = kept.get(section[7], 0)
        data += _ELF_SECTION.pack(*section)
    _ELF_HEADER.pack_into(data, 0, *header)
    path.write_bytes(data)


def _zip(roots: list[Path], archive: Path, *, compress: bool) -> None:
    """The same content gives the same bytes: sorted names, one timestamp, one mode.

    What stays on this machine is not compressed: the emulator unpacks it for every worker of a function, in 0.1 s
    instead of 0.45 for the largest one, and answers nobody meanwhile.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(archive, "w") as zipped:
        for root in roots:
            for path in _files_below(root):
                entry = zipfile.ZipInfo(str(path.relative_to(root)))
                entry.compress_type = method
                # Lambda runs functions as a user of its own: everyone may read, and load what is a library.
                entry.external_attr = 0o100755 << 16
                zipped.writestr(entry, path.read_bytes(), compresslevel=9)
