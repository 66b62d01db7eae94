"""The CDK entry point: builds the stacks of the stage that ``-c stage=`` names."""

from __future__ import annotations

import sys

from stacks.application import application
from stacks.bundling import BundlingError
from stacks.settings import SettingsError

if __name__ == "__main__":
    try:
        application().synth()
    except (SettingsError, BundlingError) as error:
        sys.exit("\n".join(f"Error: {problem}" for problem in error.problems))
