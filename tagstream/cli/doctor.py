"""``tagstream doctor``."""

from __future__ import annotations

import sys

import click

from tagstream.cli.common import FAILED, aws_options, emit, json_option
from tagstream.deployed.aws import Aws

__all__ = ["doctor"]


@click.command(short_help="Find what is not as it should be, and say what to type.")
@json_option
@aws_options
def doctor(*, as_json: bool, aws: Aws) -> None:
    """Look over this machine, the account and a deployed stage, and say what is wrong and what to type about it.

    Looks for a machine that lacks something, credentials, an account that is not prepared, stacks that failed, queues
    and functions that were changed by hand, mappings that are off, notifications that are missing, an index that is
    gone, blocked, old or mapped otherwise, photos that another model has seen. Changes nothing.

    Exit code 1 if there is anything.

    \b
    Examples:
      tagstream doctor
      tagstream doctor --stage prod --json | jq -r .then
    """
    from tagstream.operations.doctor import CHECKS, examine

    def on_check(name: str) -> None:
        if not as_json:
            click.echo(f"Looking at {name} …", err=True)

    findings = examine(aws, on_check=on_check)
    if as_json:
        emit(({"check": one.check, "what": one.what, "then": one.then} for one in findings), as_json=True)
    else:
        for one in findings:
            click.echo(f"{one.check}: {one.what}.\n  → {one.then}")
        if not findings:
            click.echo(f"Stage {aws.stage} is well: {len(CHECKS)} checks, nothing found.")
        else:
            click.echo(f"{len(findings)} found.", err=True)
    if findings:
        sys.exit(FAILED)
