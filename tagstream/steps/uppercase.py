#!/usr/bin/env python3
"""A step to copy: a file of lines in, a file of lines out. Here each line becomes upper case."""

import sys
from pathlib import Path

if __name__ == "__main__":
    source, target = sys.argv[1:3]
    with Path(source).open("rb") as lines, Path(target).open("wb") as results:
        for line in lines:
            results.write(line.upper())
