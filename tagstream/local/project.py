"""The project that the local cloud deploys: the checkout, or what the package carries of it, made ready in the cache.

A wheel has the stacks, the handlers, the gallery and the CDK CLI's pins in ``tagstream/local/checkout``. For them to be
deployed they have to lie as in a checkout, with what ``make setup`` adds to one: so they are copied, once for each
version, into ``project/VERSION-DIGEST`` of the user's cache. The digest is that of every file and of this Python, so
that another build of the same version is another folder, and a file that was changed or lost is noticed.

Whatever way this ends, nothing half-made is trusted: the files appear by one rename, the emulator's environment and the
CDK CLI are not there before the file that says so. What is downloaded is checked by its hash, as in a checkout.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from tagstream.errors import LocalCloudError, MissingPackage
from tagstream.local.supervisor import stop_trees
from tagstream.places import CHECKOUT, cache

__all__ = ["check", "ready"]

_PACKAGE = Path(__file__).resolve().parents[1]
_CARRIED = _PACKAGE / "local" / "checkout"

_NEEDED = ("aws_cdk", "constructs", "osmem_server", "packaging", "pip")
"""What the extra ``local`` brings."""
_OLDEST_NODE = 20
_LONGEST_SECONDS = 1800.0
"""For one installation, on a slow network."""
_DONE = ".installed"

Report = Callable[[str], None]


def ready(report: Report) -> Path:
    """The folder of the project, with the emulator's environment and the CDK CLI in it.

    In a checkout that is what ``make setup`` made. Elsewhere it is made now, unless it is there already, which takes a
    minute and the network the first time; ``report`` is told what is being done. Raises :class:`LocalCloudError` that
    says what is missing or went wrong, and :class:`MissingPackage`.
    """
    check()
    if CHECKOUT is not None:
        return CHECKOUT
    sources = _sources()
    folder = cache() / "project" / f"{_version()}-{_digest(sources)[:12]}"
    try:
        _make_private(folder.parent)
        with _lock(folder.parent, report) as lock:
            installer = _Installer(folder, lock, report)
            if _digest({place: folder / place for place in sources}) != _digest(sources):
                installer.say_that_it_begins()
                _unpack(sources, folder)
            installer.install_emulator()
            installer.install_cdk()
            _lay_model(folder)
    except OSError as error:
        raise LocalCloudError(f"the local cloud could not be made ready in {folder}: {error}") from error
    return folder


def check() -> None:
    """Raises what :func:`ready` would, for what can be said at once and before anything is made."""
    if CHECKOUT is None:
        _check_packages()
        _check_node()
    elif not (CHECKOUT / ".venv-local" / "bin" / "python").exists():
        raise LocalCloudError("the local cloud is not installed: run 'make setup' first.")
    elif not (CHECKOUT / "node_modules" / ".bin" / "cdk").exists():
        raise LocalCloudError("the CDK CLI is not installed: run 'make setup' first.")


def _check_packages() -> None:
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise MissingPackage(
                f"{name} is not installed: run pip install 'tagstream[local]' to have the local cloud", name=name
            )
    if not (_CARRIED / "cdk.json").is_file():
        raise LocalCloudError(
            "this tagstream was built without the stacks that the local cloud deploys: install a wheel of it that has "
            "them, or clone the repository and run 'make up' there."
        )


def _check_node() -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise LocalCloudError(
            f"Node {_OLDEST_NODE} or newer with npm is needed for the CDK CLI, and there is none on the PATH: install "
            "it from https://nodejs.org or your system's packages, and try again."
        )
    try:
        said = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout.strip()
        major = int(said.removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise LocalCloudError("the node on the PATH does not say its version: is it broken?") from None
    if major < _OLDEST_NODE:
        raise LocalCloudError(f"Node {_OLDEST_NODE} or newer is needed for the CDK CLI; this is {said}.")


def _version() -> str:
    from importlib.metadata import version

    return version("tagstream")


def _sources() -> dict[str, Path]:
    """The files of the project, by their places in it: those of the checkout, and ``tagstream`` as it is installed."""
    roots = {_CARRIED: Path(), _PACKAGE: Path("tagstream")}
    return {
        str(place / path.relative_to(root)): path
        for root, place in roots.items()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not (root == _PACKAGE and _CARRIED in path.parents)
    }


def _digest(files: Mapping[str, Path]) -> str:
    """Of the files, and of the Python whose copy will run the functions."""
    python = (platform.python_version(), platform.machine(), _base_python())
    digest = hashlib.sha256(repr(python).encode())
    for place, path in sorted(files.items()):
        content = path.read_bytes() if path.is_file() else b"missing"
        digest.update(f"\n{place}\0{hashlib.sha256(content).hexdigest()}".encode())
    return digest.hexdigest()


def _base_python() -> str:
    return getattr(sys, "_base_executable", None) or sys.executable


def _make_private(folder: Path) -> None:
    """Programs are run out of this folder: nobody else may have made it, or write into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in (folder.parent, folder):
        about = each.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o002:
            raise LocalCloudError(
                f"{each} belongs to another user, or everybody may write into it: remove it, or set XDG_CACHE_HOME to "
                "a folder of your own."
            )


@contextlib.contextmanager
def _lock(folder: Path, report: Report) -> Iterator[IO[str]]:
    """One at a time. What an installer starts holds the lock, too: it may outlive who was killed."""
    with (folder / "lock").open("a") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    report("Another tagstream is making the local cloud ready: waiting for it …")
                told = True
                time.sleep(0.2)
        yield file


def _unpack(sources: Mapping[str, Path], folder: Path) -> None:
    for left in folder.parent.glob(".making-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as scratch:
        made = Path(scratch, "project")
        for place, path in sources.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made / place)
        # One that is there is not as it should be.
        if folder.exists():
            folder.rename(Path(scratch, "damaged"))
        made.rename(folder)


def _lay_model(folder: Path) -> None:
    """The model of stage ``local`` as the stacks look for it; a path they find themselves."""
    from tagstream.classifier.models import default_model, find_model

    name = default_model()
    if "/" in name:
        return
    model, laid = find_model(name), folder / "build" / "models" / name
    if laid.is_dir() and (laid / "model.json").read_bytes() == (model / "model.json").read_bytes():
        return
    laid.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=laid.parent) as scratch:
        copy = shutil.copytree(model, Path(scratch, "model"), ignore=shutil.ignore_patterns("__*"))
        if laid.exists():
            laid.rename(Path(scratch, "former"))
        copy.rename(laid)


class _Installer:
    """What ``make setup`` does for a checkout, for a folder of the cache; each part once."""

    def __init__(self, folder: Path, lock: IO[str], report: Report) -> None:
        self._folder = folder
        self._lock = lock
        self._report = report
        self._told = False

    def say_that_it_begins(self) -> None:
        if not self._told:
            self._report(f"Making the local cloud of this version ready in {self._folder} (a minute, once) …")
        self._told = True

    def install_emulator(self) -> None:
        """An environment with the AWS emulator alone, since functions can import whatever is installed there."""
        environment = self._folder / ".venv-local"
        python = environment / "bin" / "python"
        if (environment / _DONE).exists() and python.exists():
            return
        self.say_that_it_begins()
        self._report("  Installing the AWS emulator …")
        what = "the AWS emulator"
        self._run(what, [_base_python(), "-m", "venv", "--without-pip", "--clear", str(environment)])
        # With its warnings, which say why a network is not there.
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
        pip += ["--no-input", "--require-hashes", "--no-deps", "--only-binary=:all:"]
        self._run(what, [*pip, "--requirement", str(self._folder / "tagstream" / "local" / "requirements.lock")])
        (environment / _DONE).touch()

    def install_cdk(self) -> None:
        """The CDK CLI, as package-lock.json has it."""
        modules = self._folder / "node_modules"
        if (modules / _DONE).exists() and (modules / ".bin" / "cdk").exists():
            return
        self.say_that_it_begins()
        self._report("  Installing the CDK CLI …")
        self._run("the CDK CLI", ["npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"])
        (modules / _DONE).touch()

    def _run(self, what: str, command: list[str]) -> None:
        """Run a command out of reach of the terminal's Ctrl-C, and end it with all that it started if we are ended."""
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(self._lock.fileno(),),
            )
            try:
                returncode = process.wait(timeout=_LONGEST_SECONDS)
            except subprocess.TimeoutExpired:
                raise LocalCloudError(
                    f"{what} was not installed within {_LONGEST_SECONDS:g} s: try again with a better network."
                ) from None
            finally:
                if process.poll() is None:
                    stop_trees([process.pid])
                    process.poll()
            if returncode:
                output.seek(0)
                said = [line.strip() for line in output if line.strip()] or ["it said nothing"]
                if len(said) > 8:
                    # npm's reason is at the beginning, pip's at the end.
                    said = [*said[:4], "…", *said[-3:]]
                raise LocalCloudError(
                    f"{what} could not be installed; when what it says is mended (is there a network?), type the same "
                    "again:" + "".join(f"\n  {line[:300]}" for line in said)
                )
