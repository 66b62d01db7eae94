"""Which model is the default, by what the processor can do, what is there, and what TAGSTREAM_MODEL says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from stacks.settings import ROOT, STAGES, SettingsError, settings_for
from tagstream import machine
from tagstream.classifier import classifier, run_image_recognition
from tagstream.classifier.models import default_model, find_model
from tagstream.errors import ModelError
from tagstream.machine import DEFAULT_MODELS, int8_instructions

INT8, ANYWHERE = DEFAULT_MODELS
VNNI = "processor\t: 0\nmodel name\t: X\nflags\t\t: fpu avx2 avx512_vnni\nbugs\t\t: spectre_v1\n\n"
OLD = VNNI.replace(" avx512_vnni", "")

Processor = Callable[[str | None], None]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Processor]:
    """``processor(text)``: this machine is one whose /proc/cpuinfo says so, or one without such a file."""
    monkeypatch.delenv("TAGSTREAM_MODEL", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")

    def become(cpuinfo: str | None) -> None:
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            path.write_bytes(cpuinfo.encode(errors="surrogateescape"))
        monkeypatch.setattr(machine, "_CPUINFO", path)
        machine._here.cache_clear()

    yield become
    machine._here.cache_clear()


def built(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "model.json").write_text("{}")
    return root


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu sse2 avx2\n", ()),
        ("flags\t\t: fpu avx512_vnni avx_vnni amx_int8\n", ("AMX", "AVX-512 VNNI", "AVX VNNI")),
        ("Features\t: fp asimd asimddp i8mm\n", ("dot product", "i8mm")),
        ("model name\t: the avx_vnni of processors\nflags\t\t: fpu\n", ()),
        ("flags without a colon avx_vnni", ()),
        ("", ()),
    ],
)
def test_int8_instructions_are_found_on_both_architectures(cpuinfo: str, expected: tuple[str, ...]) -> None:
    assert int8_instructions(cpuinfo) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (VNNI, INT8),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", INT8),
        ("flags\t\t: fpu amx_int8\n", INT8),
        ("flags\t\t: fpu avx_vnni\n", INT8),
        (OLD, ANYWHERE),
        ("processor\t: 0\nFeatures\t: fp asimd\n", ANYWHERE),
        ("", ANYWHERE),
        ("\udcff\udcfe flags: avx_vnni", ANYWHERE),
        (None, ANYWHERE),
    ],
)
def test_the_processor_decides(processor: Processor, cpuinfo: str | None, expected: str, tmp_path: Path) -> None:
    processor(cpuinfo)
    assert default_model(built(tmp_path / "both", *DEFAULT_MODELS)) == expected
    assert machine.default_models()[0] == expected
    assert set(machine.default_models()) == {INT8, ANYWHERE}


@pytest.mark.parametrize(("kind", "expected"), [("arm64", INT8), ("x86_64", ANYWHERE)])
def test_a_mac_of_apple_s_own_has_the_dot_product(
    processor: Processor, monkeypatch: pytest.MonkeyPatch, kind: str, expected: str
) -> None:
    processor(VNNI)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=kind))
    assert machine.default_models()[0] == expected


@pytest.mark.parametrize("cpuinfo", [VNNI, OLD])
@pytest.mark.parametrize("there", DEFAULT_MODELS)
def test_the_one_that_is_there_is_taken(processor: Processor, cpuinfo: str, there: str, tmp_path: Path) -> None:
    processor(cpuinfo)
    assert default_model(built(tmp_path / "models", there)) == there


@pytest.mark.parametrize(("cpuinfo", "expected"), [(VNNI, INT8), (OLD, ANYWHERE)])
def test_where_none_is_there_the_error_says_what_to_type(
    processor: Processor, cpuinfo: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(cpuinfo)
    assert default_model(tmp_path) == expected
    base = expected.removesuffix("-int8")
    with pytest.raises(ModelError, match=rf"{expected} has not been built: run 'tagstream models build {base}"):
        find_model(default_model(tmp_path), tmp_path)
    monkeypatch.setattr("tagstream.classifier.models.CHECKOUT", None)
    with pytest.raises(ModelError, match=rf"run pip install tagstream-model-{expected}, or 'tagstream models build"):
        find_model(default_model(tmp_path), tmp_path)


def test_what_the_variable_names_is_the_default_and_nothing_else(
    processor: Processor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor(VNNI)
    both = built(tmp_path / "both", *DEFAULT_MODELS)
    monkeypatch.setenv("TAGSTREAM_MODEL", ANYWHERE)
    assert default_model(both) == ANYWHERE
    monkeypatch.setenv("TAGSTREAM_MODEL", "./mine")
    assert default_model(both) == "./mine"
    with pytest.raises(ModelError, match=r"there is no model '\./mine', which TAGSTREAM_MODEL names; known are"):
        find_model(default_model(both), both)
    monkeypatch.setenv("TAGSTREAM_MODEL", "")
    assert default_model(both) == INT8


@pytest.mark.parametrize("name", DEFAULT_MODELS)
def test_each_default_runs_from_a_photo_to_tags(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "orange").save(tmp_path / "photo.png")
    monkeypatch.setenv("TAGSTREAM_MODEL", name)
    classifier._classifier.cache_clear()
    try:
        assert run_image_recognition(tmp_path / "photo.png") == run_image_recognition(
            tmp_path / "photo.png", model=name
        )
        assert classifier._classifier(name).name == name
    finally:
        classifier._classifier.cache_clear()


@pytest.mark.parametrize(("cpuinfo", "expected"), [(VNNI, INT8), (OLD, ANYWHERE)])
def test_stage_local_has_what_suits_the_machine_and_no_other_stage_asks(
    processor: Processor, cpuinfo: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor(cpuinfo)
    monkeypatch.setattr("stacks.settings.ROOT", tmp_path)
    (tmp_path / "tagstream").symlink_to(ROOT / "tagstream")
    assert settings_for({"stage": "local"}).model == expected
    other = INT8 if expected == ANYWHERE else ANYWHERE
    built(tmp_path / "build" / "models", other)
    assert settings_for({"stage": "local"}).model == other
    built(tmp_path / "build" / "models", expected)
    assert settings_for({"stage": "local"}).model == expected
    monkeypatch.setenv("TAGSTREAM_MODEL", "inception-v3")
    assert settings_for({"stage": "local"}).model == "inception-v3"
    assert settings_for({"stage": "local", "model": ANYWHERE}).model == ANYWHERE
    monkeypatch.setenv("TAGSTREAM_MODEL", "mine")
    with pytest.raises(SettingsError, match="'mine' is not known"):
        settings_for({"stage": "local"})
    built(tmp_path / "build" / "models", "mine")
    assert settings_for({"stage": "local"}).model == "mine"
    for stage in ("dev", "prod"):
        assert settings_for({"stage": stage}).model == STAGES[stage].model == INT8
