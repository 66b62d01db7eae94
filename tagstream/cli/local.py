"""``tagstream local``: the whole system on this machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagstream.cli.common import FAILED, emit, json_option
from tagstream.cli.next_steps import called_as, photos_at_hand, steps
from tagstream.places import made

if TYPE_CHECKING:
    from tagstream.local.gallery import Gallery

__all__ = ["local"]


@click.group(short_help="Run the whole system on this machine, without an account.")
def local() -> None:
    """Run the whole system on this machine, without an account and without Docker.

    \b
    Examples:
      tagstream local demo
      tagstream local up
      eval "$(tagstream local env)"
      tagstream local down
    """


def _report(line: str) -> None:
    click.echo(line, err=True)


@local.command()
@click.option("--port", type=click.IntRange(1, 65535), help="AWS' port on 127.0.0.1.  [default: 4566]")
@click.option("--least-privilege", is_flag=True, help="Enforce IAM, as AWS does; over TLS.")
def up(port: int | None, least_privilege: bool) -> None:
    """Start the local cloud, deploy the stacks into it, and leave it running.

    If it runs already, what has changed is deployed. What it holds lives until 'tagstream local down'.

    \b
    Examples:
      tagstream local up
      tagstream local up --port 4577
      tagstream local up --least-privilege
    """
    from tagstream.local import cloud

    connection = cloud.up(port=port, least_privilege=least_privilege, report=_report)
    gallery = cloud.status().gallery
    if gallery is not None:
        click.echo("\nThe local cloud is up. The gallery, in a browser:\n")
        click.echo(_gallery(gallery))
        click.echo("\nWhat next:\n")
    else:
        click.echo("\nThe local cloud is up. What next:\n")
    command = called_as()
    photos = photos_at_hand(made() / "photos")
    typed = [
        (f"{command} images upload {photos or 'FOLDER'} --wait", "photos in" if photos else "your photos in"),
        (f"{command} images search cat", "found by what they show"),
        (f"{command} topics create numbers", "a queue, the PubSub way"),
        (f"{command} local down", "stop it and delete what it holds"),
    ]
    click.echo(steps(typed))
    click.echo(f'\nFor the AWS CLI, the SDKs and cdk:  eval "$({command} local env)", which says\n')
    click.echo(_exports(connection.environment()))


def _gallery(gallery: Gallery) -> str:
    from tagstream.local.gallery import PASSWORD, USER

    return f"  {gallery.url}  (sign in as {USER}, password {PASSWORD})"


def _exports(environment: dict[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


@local.command()
def down() -> None:
    """Stop the local cloud and delete what it holds."""
    from tagstream.local import cloud

    stopped = cloud.down()
    click.echo("The local cloud is stopped." if stopped else "There is no local cloud to stop.", err=True)


@local.command()
@json_option
def status(*, as_json: bool) -> None:
    """Say whether the local cloud runs, where, and what is deployed in it; exit code 1 if it doesn't run."""
    from tagstream.local import cloud

    now = cloud.status()
    where = now.connection
    row = {
        "status": now.state,
        "endpoint_url": where.endpoint_url if where else None,
        "search_url": where.search_url if where else None,
        "gallery_url": now.gallery.url if now.gallery else None,
        "api_url": now.gallery.api_url if now.gallery else None,
        "stacks": list(now.stacks),
    }
    if as_json:
        emit([row], as_json=True)
    else:
        click.echo(f"The local cloud is {now.state}." if now.state != "crashed" else "The local cloud has crashed.")
        if where and now.state == "running":
            click.echo(f"AWS at {where.endpoint_url}, OpenSearch at {where.search_url}")
            click.echo(f"Stacks: {', '.join(now.stacks) or 'none'}")
            if now.gallery:
                click.echo(f"Gallery:\n{_gallery(now.gallery)}")
                click.echo(f"HTTP API, for programs:\n  {now.gallery.api_url}")
    if now.state != "running":
        sys.exit(FAILED)


@local.command()
def env() -> None:
    """Print the variables that point the AWS CLI, the SDKs and cdk at the local cloud, for a shell's eval."""
    from tagstream.local import cloud

    click.echo(_exports(cloud.connection().environment()))


@local.command()
@click.option(
    "--scope",
    default="tagstream/read tagstream/write",
    show_default=True,
    help="What it allows.",
)
def token(scope: str) -> None:
    """Print a token for the HTTP API, good for an hour: what the gallery gets when its user signs in.

    \b
    Example:
      curl -H "Authorization: Bearer $(tagstream local token)" "http://…/images?q=cat"
    'tagstream local status' says where the HTTP API is.
    """
    from tagstream.local import cloud
    from tagstream.local.gallery import Gallery

    click.echo(Gallery.of(cloud.connection()).token(scope))


@local.command()
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of your own, instead of the demo's photos.",
)
def demo(photos: Path | None) -> None:
    """Show everything once: start a cloud, deploy, upload photos, find them, stop the cloud.

    Exits with 0 if every photo is found by a tag that it should have. The cloud is one of its own, on free
    ports; one that runs already is left alone.
    """
    from tagstream.cli.demo import run

    sys.exit(0 if run(photos) else FAILED)
