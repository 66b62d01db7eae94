"""Groups of commands that are imported when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["Lazy"]


class Lazy(click.Group):
    """A group whose ``commands`` are named as ``"module:attribute"`` and imported when they are used.

    Used as ``@click.command(cls=Lazy, commands={"up": "tagstream.cli.local:up"})``. Help imports all commands of the
    group for their first sentences, so that modules with commands should import little at their top.
    """

    def __init__(self, *arguments: Any, commands: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._places = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._places[cmd_name]} is no command")
        return command
