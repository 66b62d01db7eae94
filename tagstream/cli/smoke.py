"""``tagstream smoke``."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import click

from tagstream.cli.common import FAILED, aws_options, emit, json_option
from tagstream.deployed.aws import Aws

__all__ = ["smoke"]


@click.command(short_help="Try a deployed stage with a photo of its own.")
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds for all of it.")
@json_option
@aws_options
def smoke(*, timeout: float, as_json: bool, aws: Aws) -> None:
    """Put a photo into the bucket, find it by what it shows, remove it, and say how long each took.

    The photo is made for this, and leaves nothing behind in the bucket, whatever happens. The first run after a deploy
    takes longer, since every function starts.

    \b
    Examples:
      tagstream smoke
      tagstream smoke --stage dev --timeout 300
      tagstream smoke --stage prod --json | jq -r 'select(.status == "failed").reason'

    Exit code 1 if something failed or took too long.
    """
    from tagstream.pipeline import smoke as core

    outputs = aws.outputs("ingest")
    bucket = aws.output("ingest", "BucketName")
    key = f"{outputs.get('KeyPrefix', '')}tagstream-smoke-{secrets.token_hex(8)}{outputs.get('KeySuffix', '.png')}"
    questions = core.questions_by(lambda request: aws.invoke("search", "SearchFunctionName", request))
    failed = False
    for step in core.smoke(aws.client("s3"), questions, bucket, key, timeout=timeout):
        failed = step.reason is not None
        if as_json:
            emit([_row(step)], as_json=True)
        elif failed:
            click.echo(f"{step.step:<12}failed after {step.seconds:.1f} s", err=True)
            click.echo(f"Error: {step.reason}.", err=True)
        else:
            click.echo(f"{step.step:<12}{step.seconds:6.2f} s")
    if failed:
        sys.exit(FAILED)


def _row(step: Any) -> dict[str, Any]:
    row = {"step": step.step, "status": "failed" if step.reason else "done", "seconds": round(step.seconds, 3)}
    return row | ({"reason": step.reason} if step.reason else {})
