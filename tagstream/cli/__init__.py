"""The command line: ``tagstream images | models | topics | local``."""

from __future__ import annotations

from importlib import import_module

import click

from tagstream.cli.common import Failures

__all__ = ["main"]

_COMMANDS = {
    "images": ("tagstream.cli.images", "Upload, find, classify and remove photos."),
    "local": ("tagstream.cli.local", "Run the whole system on this machine, without an account."),
    "models": ("tagstream.cli.models", "List and build the models that classify."),
    "topics": ("tagstream.cli.topics", "Publish, pull, upload, process and download over SQS."),
}


class _Lazy(Failures, click.Group):
    """Imports a command when it is used, so that ``tagstream --help`` and completion stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tagstream")
def main() -> None:
    """Photos in a bucket become searchable by what they show; files over SQS topics become jobs.

    \b
    Examples:
      tagstream local up
      tagstream images upload ~/Pictures
      tagstream images search pizza --min-score 0.9
      tagstream topics upload inputs.txt smiles

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 done in part, 130 interrupted.
    Shell completion: eval "$(_TAGSTREAM_COMPLETE=bash_source tagstream)"  (or zsh_source, fish_source)
    """
