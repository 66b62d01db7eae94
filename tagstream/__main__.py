"""The program ``tagstream``, also as ``python -m tagstream``."""

from __future__ import annotations

import sys

from tagstream.errors import MissingPackage

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        from tagstream.cli import main as command
    except MissingPackage as error:
        sys.exit(f"Error: {error}")
    command()


if __name__ == "__main__":
    main()
