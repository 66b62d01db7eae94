"""Packages as they are published, and every Python of this machine to try them on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
REGION = "eu-west-1"


def interpreter(version: str) -> str | None:
    """A Python of this version: this one, one on the PATH, or one that pyenv has; None if there is none that works."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    of_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, of_pyenv)):
        ask = [candidate or "", "-c", "import sys, venv, ensurepip; print('{}.{}'.format(*sys.version_info))"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if subprocess.run(ask, capture_output=True, text=True, check=True, timeout=30).stdout.strip() == version:
                return candidate
    return None


def run(*command: str | Path, timeout: float = 240, **options: Any) -> str:
    """What a command prints to both; it has to succeed within ``timeout`` seconds."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout,
        **options,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Published:
    """A folder as ``make dist`` makes it."""

    folder: Path

    def one(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found

    @property
    def wheel(self) -> Path:
        return self.one("tagstream-*.whl")

    @property
    def models(self) -> list[Path]:
        """The default ones, for each kind of processor."""
        return sorted(self.folder.glob("tagstream_model_*.whl"))


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing but what was installed for a test, far from the checkout."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *what: str) -> None:
        """By the pip that runs these tests: the environment has none of its own, which would take longer to make."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        run(*pip, "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input", *what)

    def variables(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        return kept | {"HOME": str(home), "PYTHONWARNINGS": "error"} | more

    def run(self, *arguments: str | Path, **variables: str) -> str:
        """What a program of this environment prints; it has to succeed."""
        return run(self.python, *arguments, cwd=self.folder.parent, env=self.variables(**variables))

    def fails(self, *command: str) -> tuple[int, str]:
        """The exit code of a program of this environment that does not succeed, and what it prints."""
        done = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.folder.parent,
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("published") / "dist"
    run(sys.executable, "-m", "release", "--into", folder, cwd=ROOT)
    return Published(folder)


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[str], Environment]:
    def make(version: str) -> Environment:
        python = interpreter(version)
        if python is None:
            pytest.skip(f"there is no Python {version} on this machine")
        run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
        return Environment(tmp_path / "venv")

    return make


@pytest.fixture(scope="session")
def aws() -> Iterator[Mapping[str, str]]:
    """Variables that lead to stand-ins of SQS and of a deployed stage whose catalog has one photo."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

    def tell(path: str, what: Any) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url + path, json.dumps(what).encode(), headers, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def client(service: str) -> Any:
        named = {name.lower(): value for name, value in keys.items()}
        return boto3.client(service, endpoint_url=url, region_name=REGION, **named)

    answer = {"total": 1, "images": [{"key": "drum.jpg", "score": 0.9, "tags": []}], "after": None}
    tell("/moto-api/config", {"lambda": {"use_docker": False}})
    tell("/moto-api/static/lambda-simple/response", {"results": [json.dumps(answer)] * 20, "region": REGION})
    role = client("iam").create_role(RoleName="search", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    client("lambda").create_function(
        FunctionName="search", Runtime="python3.13", Role=role, Handler="a.b", Code={"ZipFile": code.getvalue()}
    )
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"SearchFunctionName": {"Value": "search"}},
    }
    client("cloudformation").create_stack(StackName="tagstream-dev-search", TemplateBody=json.dumps(template))
    yield keys | {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": url}
    server.stop()


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of a drum."""
    from tagstream.local.photos import fetch

    drum = next(path for path in fetch(ROOT / "build" / "photos") if path.name == "drum.jpg")
    return Path(shutil.copy(drum, tmp_path_factory.mktemp("photo")))
