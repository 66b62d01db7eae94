"""What a function's code is called in its template: the doctor reads from it what the function should run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_lambda as lambda_

from stacks.bundling import checksum
from stacks.functions import asset_of


def test_the_key_is_the_hash_of_the_zips_hash(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"bundle")
    app = App(outdir=str(tmp_path / "out"))
    stack = Stack(app, "stack")
    lambda_.Function(
        stack,
        "F",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="handler.handler",
        code=asset_of(bundle, checksum(bundle)),
    )
    app.synth()
    resources = json.loads((tmp_path / "out" / "stack.template.json").read_text())["Resources"].values()
    (code,) = (one["Properties"]["Code"] for one in resources if "Code" in one["Properties"])
    digest = hashlib.sha256(b"bundle").hexdigest()
    assert code["S3Key"] == f"{hashlib.sha256(digest.encode()).hexdigest()}.zip"
