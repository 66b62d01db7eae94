"""Groups of commands that are imported when they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

__all__ = ["Lazy"]


class Lazy(click.Group):
    """A group whose ``commands`` are named as ``"module:attribute"`` and imported when they are used.

    Used as ``@click.command(cls=Lazy, commands={"up": "tagstream.cli.local:up"})``. Help imports all commands of the
    group for their first sentences, so that modules with commands should import little at their top.

    ``aliases`` are other words for commands, as people know them from other tools; ``hints`` are sentences for words
    that are none here. Help lists neither.
    """

    def __init__(
        self,
        *arguments: Any,
        commands: Mapping[str, str],
        aliases: Mapping[str, str] | None = None,
        hints: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._places = commands
        self._aliases = aliases or {}
        self._hints = hints or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = self._aliases.get(cmd_name, cmd_name)
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._places[cmd_name]} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a word that is no command here is looked for in the groups below as well."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            if error.command_name in self._hints:
                known = self._hints[error.command_name]
                raise click.UsageError(f"No such command {error.command_name!r}. {known}", ctx) from error
            alike = list(self._alike(ctx, error.command_name))
            # A group's command of just this name is meant rather than one that looks like it.
            meant = [name for name in alike if name.rpartition(" ")[2] == error.command_name] or alike
            hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
            raise click.UsageError(f"No such command {error.command_name!r}.{hint}", ctx) from error

    def _alike(self, ctx: click.Context, word: str) -> Iterator[str]:
        yield from get_close_matches(word, self.list_commands(ctx))
        for name in self.list_commands(ctx):
            group = self.get_command(ctx, name)
            if isinstance(group, click.Group):
                below = click.Context(group, parent=ctx, info_name=name)
                yield from (
                    f"{name} {found}" for found in get_close_matches(word, group.list_commands(below), cutoff=0.8)
                )
