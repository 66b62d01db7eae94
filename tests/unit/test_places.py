"""Where files lie, and what a part says whose packages are missing."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import tagstream.errors
from tagstream.errors import MissingPackage, TagstreamError, needs
from tagstream.places import CHECKOUT, cache, made

ROOT = Path(__file__).parents[2]


def test_in_a_checkout_what_is_made_is_in_build() -> None:
    assert ROOT == CHECKOUT
    assert made() == ROOT / "build"


def test_a_copy_without_stacks_keeps_what_it_makes_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "tagstream").mkdir()
    for name in ("__init__.py", "places.py"):
        (tmp_path / "tagstream" / name).write_bytes((ROOT / "tagstream" / name).read_bytes())
    (tmp_path / "cache").mkdir()
    code = "from tagstream.places import CHECKOUT, made; print(CHECKOUT, made())"
    ask = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        ask, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"None {tmp_path / 'cache' / 'tagstream'}\n"


def test_the_cache_is_the_users_if_there_is_a_folder_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache() == tmp_path / ".cache" / "tagstream"
    (tmp_path / "xdg").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache() == tmp_path / "xdg" / "tagstream"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert cache().name.startswith("tagstream-")


def test_a_missing_package_is_an_import_error_that_names_the_extra() -> None:
    with (
        pytest.raises(
            MissingPackage, match=r"^numpi is not installed: run pip install 'tagstream\[classify\]'$"
        ) as caught,
        needs("classify"),
    ):
        importlib.import_module("numpi.linalg")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, TagstreamError)
    assert caught.value.name == "numpi"


def test_what_is_missing_of_our_own_or_wrong_otherwise_is_no_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tagstream\.nothing"), needs("topics"):
        import tagstream.nothing  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name") as caught, needs("topics"):
        from json import nothing  # type: ignore[attr-defined]  # noqa: F401
    assert not isinstance(caught.value, MissingPackage)


def test_the_examples_of_errors_are_true() -> None:
    tried = doctest.testmod(tagstream.errors)
    assert (tried.failed, tried.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("command", "then"),
    [
        (("local", "up"), "clone the repository"),
        (("local", "demo"), "clone the repository"),
        (("images", "stats"), "start one with 'tagstream local up'"),
    ],
)
def test_a_package_without_the_stacks_says_where_they_are(
    command: tuple[str, ...], then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from tagstream.cli import main
    from tagstream.local import cloud, project

    monkeypatch.setattr(project, "CHECKOUT", None)
    monkeypatch.setattr(cloud, "CHECKOUT", None)
    monkeypatch.setattr(cloud.connection, "__defaults__", (tmp_path / "nothing",))
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert then in done.stderr
    assert list(tmp_path.iterdir()) == []
