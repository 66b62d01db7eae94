"""The CDK entry point: builds the stacks of the stage that ``-c stage=`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from stacks.application import application
from stacks.assembly import record
from stacks.bundling import BundlingError
from stacks.settings import SettingsError

if __name__ == "__main__":
    try:
        app = application()
        app.synth()
        record(Path(app.outdir), app.node.get_all_context())
    except (SettingsError, BundlingError) as error:
        sys.exit("\n".join(f"Error: {problem}" for problem in error.problems))
