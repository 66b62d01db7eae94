"""The command line: ``tagstream images | models | topics | local | smoke | dlq | plan``."""

from __future__ import annotations

from typing import Any

from tagstream.errors import needs

with needs("cli"):
    import click

    from tagstream.cli import signals
    from tagstream.cli.common import Failures
    from tagstream.cli.lazy import Lazy

__all__ = ["main"]

_MODULES = ("dlq", "doctor", "images", "local", "models", "plan", "smoke", "topics")
_COMMANDS = {name: f"tagstream.cli.{name}:{name}" for name in _MODULES}
_COMMANDS |= {name: f"tagstream.cli.status:{name}" for name in ("status", "pause", "resume")}


class _Main(Failures, Lazy):
    """The one place where errors end and signals are answered; what is not used is not imported."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """As the whole of a process, not in a test."""
        signals.listen()
        return super().__call__(*arguments, **options)


@click.command(cls=_Main, commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 done in part,
    130 interrupted by Ctrl-C, 143 by SIGTERM (129 by SIGHUP).
    Shell completion: eval "$(_TAGSTREAM_COMPLETE=bash_source tagstream)"  (or zsh_source, fish_source)
    """
