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
    "peek": "tagstream.cli.topics.messages:peek",
    "process": "tagstream.cli.topics.process:process",
    "publish": "tagstream.cli.topics.messages:publish",
    "pull": "tagstream.cli.topics.messages:pull",
    "purge": "tagstream.cli.topics.manage:purge",
    "redrive": "tagstream.cli.topics.redrive:redrive",
    "refresh": "tagstream.cli.topics.messages:refresh",
    "update": "tagstream.cli.topics.manage:update",
    "upload": "tagstream.cli.topics.transfer:upload",
}

# The words of `gcloud pubsub topics` and `subscriptions`, and of `aws sqs`.
_ALIASES = {
    "ack": "acknowledge",
    "change-message-visibility": "refresh",
    "change-message-visibility-batch": "refresh",
    "delete-message": "acknowledge",
    "delete-message-batch": "acknowledge",
    "delete-queue": "delete",
    "describe": "info",
    "get-queue-attributes": "info",
    "list-queues": "list",
    "modify-ack-deadline": "refresh",
    "modify-message-ack-deadline": "refresh",
    "purge-queue": "purge",
    "receive": "pull",
    "receive-message": "pull",
    "send": "publish",
    "send-message": "publish",
    "send-message-batch": "publish",
    "set-queue-attributes": "update",
    "start-message-move-task": "redrive",
}
_ONE_READER = "A topic is its own subscription here, an SQS queue: "
_HINTS = {
    "add-iam-policy-binding": "Who may use a topic is a policy: 'topics update TOPIC --attribute Policy=JSON'.",
    "detach-subscription": f"{_ONE_READER}there is none to detach.",
    "list-snapshots": "SQS keeps nothing that was acknowledged: 'topics peek' looks at what is there.",
    "list-subscriptions": f"{_ONE_READER}'topics list' shows all.",
    "modify-push-config": f"{_ONE_READER}'topics pull' receives, and 'topics process' runs a program over what comes.",
    "seek": "SQS cannot go back in time: 'topics purge' empties a topic, 'topics redrive' repeats its dead letters.",
    "set-iam-policy": "Who may use a topic is a policy: 'topics update TOPIC --attribute Policy=JSON'.",
    "subscribe": f"{_ONE_READER}'topics pull' receives from it.",
    "subscriptions": f"{_ONE_READER}'topics list' shows all.",
}


@click.command(cls=Lazy, commands=_COMMANDS, aliases=_ALIASES, hints=_HINTS)
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
