"""``tagstream topics``: PubSub over SQS, from the command line."""

from __future__ import annotations

import logging

import click

from tagstream.cli.lazy import Lazy

__all__ = ["topics"]

_COMMANDS = {
    "acknowledge": "tagstream.cli.topics.messages:acknowledge",
    "clear": "tagstream.cli.topics.manage:clear",
    "create": "tagstream.cli.topics.manage:create",
    "create-queue": "tagstream.cli.topics.manage:create_queue",
    "delete": "tagstream.cli.topics.manage:delete",
    "download": "tagstream.cli.topics.transfer:download",
    "info": "tagstream.cli.topics.manage:info",
    "list": "tagstream.cli.topics.manage:list_",
    "order-check": "tagstream.cli.topics.process:order_check",
    "process": "tagstream.cli.topics.process:process",
    "publish": "tagstream.cli.topics.messages:publish",
    "pull": "tagstream.cli.topics.messages:pull",
    "purge": "tagstream.cli.topics.manage:purge",
    "refresh": "tagstream.cli.topics.messages:refresh",
    "upload": "tagstream.cli.topics.transfer:upload",
}


@click.command(cls=Lazy, commands=_COMMANDS)
@click.option("-v", "--verbose", is_flag=True, help="Say what happens, with the time, on standard error.")
def topics(verbose: bool) -> None:
    """Publish, pull, upload, process and download over SQS.

    A topic is an SQS queue with its dead-letter queue. A parcel is one message that carries many lines.

    \b
    Examples:
      tagstream topics create smiles
      tagstream topics upload inputs.txt smiles
      tagstream topics info smiles
      tagstream topics download smiles outputs.txt
      tagstream topics -v clear test- --yes
    """
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO if verbose else logging.WARNING
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
