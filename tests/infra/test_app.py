"""The entry point as the CDK CLI runs it: what is wrong is said in sentences, not in tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks.application import application
from stacks.bundling import Bundle, BundlingError
from stacks.settings import MODELS, STAGES
from tagstream.classifier import models
from tests.infra.templates import ROOT, synthesise


def run_app(context: dict[str, Any], outdir: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(outdir)}
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_every_wrong_setting_is_a_line_and_nothing_else_is_said(tmp_path: Path) -> None:
    run = run_app({"stage": "dev", "model": "resnet", "max_bytes": "-1", "colour": "red"}, tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    assert all(line.startswith("Error: ") and line.endswith(".") for line in lines), run.stderr
    assert len(lines) == 3


def test_a_right_stage_is_synthesised_in_silence(tmp_path: Path) -> None:
    run = run_app({"stage": "dev", "aws:cdk:bundling-stacks": []}, tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (tmp_path / "tagstream-dev-ingest.template.json").is_file()


def test_a_model_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundlingError, match=r"my-model lacks model\.tflite, labels\.txt, model\.json"):
        application(
            context={
                "stage": "dev",
                "model": f"{tmp_path}/my-model",
                "aws:cdk:bundling-stacks": ["tagstream-dev-ingest"],
            },
            outdir=str(tmp_path / "out"),
        )


def test_the_models_of_the_settings_are_those_that_can_be_built() -> None:
    assert {name.removesuffix("-int8") for name in MODELS} == set(models.MODELS)
    assert set(MODELS) >= {settings.model for settings in STAGES.values()}


def test_another_model_is_another_bundle(tmp_path: Path) -> None:
    def asset(model: str) -> str:
        resources = synthesise({"stage": "dev", "model": model})["ingest"]["Resources"].values()
        (function,) = (r for r in resources if r["Type"] == "AWS::Lambda::Function")
        return str(function["Properties"]["Code"]["S3Key"])

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.tflite").write_text(name)
    assert asset(f"{tmp_path}/a") != asset(f"{tmp_path}/b")


def test_the_same_bytes_are_the_same_asset_whatever_they_were_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda makes no second version of the same code, and the deploy that asks for one fails."""

    def key(digest: str, content: str) -> str:
        built = tmp_path / f"{digest}.zip"
        built.write_text(content)
        monkeypatch.setattr(Bundle, "digest", digest)
        monkeypatch.setattr(Bundle, "build", lambda _: built)
        outdir = tmp_path / f"out-{digest}"
        application(
            context={"stage": "dev", "aws:cdk:bundling-stacks": ["tagstream-dev-search"]}, outdir=str(outdir)
        ).synth()
        resources = json.loads((outdir / "tagstream-dev-search.template.json").read_text())["Resources"].values()
        (function,) = (r for r in resources if r["Type"] == "AWS::Lambda::Function")
        return str(function["Properties"]["Code"]["S3Key"])

    assert key("one", "same") == key("two", "same") != key("three", "other")
